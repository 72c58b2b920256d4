/* test_times.c -- what commands say of times and make of them, to the millisecond: the wall clock
 * stands still. That the errors are those of Redis is tests/test_hot.py's. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "door.h"
#include "test.h"

#define NOW_MS INT64_C(1900000000000) /* a whole second */

static void on_acceptable(void *context, int listener) {
    (void)context, (void)listener;
}

static void on_command(void *context, uint64_t id, const resp_arg *args, size_t count) {
    (void)context, (void)id, (void)count;
    test_failed(__FILE__, __LINE__, "no hot command: %.*s", (int)args[0].size, args[0].data);
}

static void on_closed(void *context, uint64_t id, const char *reason) {
    (void)context, (void)id, (void)reason;
}

typedef struct house {
    door door;
    int listener, client;
} house;

static void open_house(house *self) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *at = (struct sockaddr *)&address;
    socklen_t size = sizeof address;
    const door_hooks hooks = {self, on_acceptable, on_command, on_closed};
    connection *connection;
    CHECK(door_init(&self->door, &DOOR_LIMITS_DEFAULT, &hooks) == 0);
    door_use(&self->door, new_table(4 * MIB));
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    self->client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(self->listener, at, size) == 0 && listen(self->listener, 1) == 0);
    CHECK(getsockname(self->listener, at, &size) == 0 && connect(self->client, at, size) == 0);
    WAIT_UNTIL(door_accept(&self->door, self->listener, &connection) == 1);
}

static void close_house(house *self) {
    door_deinit(&self->door);
    close(self->client);
    close(self->listener);
}

/* The replies to lines of commands, as one text; until the next call. */
static const char *replies(house *self, const char *lines, unsigned count) {
    static char text[512];
    size_t size = 0;
    unsigned ends = 0;
    memset(text, 0, sizeof text);
    CHECK(send(self->client, lines, strlen(lines), 0) == (ssize_t)strlen(lines));
    for (double began = seconds_now(); ends < count && seconds_now() - began < 20;) {
        CHECK(door_wait(&self->door, 0) >= 0);
        door_serve(&self->door);
        ssize_t got = recv(self->client, text + size, sizeof text - 1 - size, MSG_DONTWAIT);
        for (ssize_t i = 0; i < got; i++)
            ends += text[size + (size_t)i] == '\n';
        size += got > 0 ? (size_t)got : 0;
    }
    return text;
}

static void say(house *self, const char *command, const char *wanted) {
    char line[128];
    snprintf(line, sizeof line, "%s\r\n", command);
    const char *got = replies(self, line, wanted[0] == '$' && wanted[1] != '-' ? 2 : 1);
    if (strncmp(got, wanted, strlen(wanted)) != 0)
        test_failed(__FILE__, __LINE__, "%s: %s, wanted %s", command, got, wanted);
}

/* Commands that let "k" expire in a second; the part before the semicolon stores it. */
static const char *const ways[] = {
    ";SET k v PX 1000", ";SET k v EX 1", ";SET k v PXAT 1900000001000", ";SET k v EXAT 1900000001",
    ";PSETEX k 1000 v", ";SETEX k 1 v", "SET k v;PEXPIRE k 1000", "SET k v;EXPIRE k 1",
    "SET k v;PEXPIREAT k 1900000001000", "SET k v;EXPIREAT k 1900000001",
    "SET k v;GETEX k PX 1000", "SET k v;GETEX k EX 1", "SET k v;GETEX k PXAT 1900000001000",
    "SET k v;GETEX k EXAT 1900000001", "SET k v EX 9;PEXPIRE k 1000 LT",
    "SET j v EX 1;RENAME j k", "SET j v EX 1;COPY j k REPLACE", "SET k v EX 1;SET k v KEEPTTL",
    "SET k v EX 1;APPEND k v",
};

static void run(house *self, const char *way) {
    char store[64], set[64];
    size_t first = strcspn(way, ";");
    snprintf(store, sizeof store, "%.*s\r\n", (int)first, way);
    snprintf(set, sizeof set, "%s\r\n", way + first + 1);
    if (first > 0)
        CHECK_TEXT(replies(self, store, 1), "+OK\r\n");
    const char *got = replies(self, set, strncmp(way + first + 1, "GETEX", 5) == 0 ? 2 : 1);
    CHECK(strchr("+:$", got[0]) && got[0] != 0);
}

TEST(times_are_exact_whatever_command_has_set_them) {
    house house;
    atomic_store(&clock_stand_ms, NOW_MS);
    open_house(&house);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        atomic_store(&clock_stand_ms, NOW_MS);
        run(&house, ways[i]);
        say(&house, "PTTL k", ":1000\r\n");
        say(&house, "TTL k", ":1\r\n");
        say(&house, "PEXPIRETIME k", ":1900000001000\r\n");
        say(&house, "EXPIRETIME k", ":1900000001\r\n");
        atomic_store(&clock_stand_ms, NOW_MS + 999);
        say(&house, "PTTL k", ":1\r\n");
        say(&house, "STRLEN k", strstr(ways[i], "APPEND") ? ":2\r\n" : ":1\r\n");
        atomic_store(&clock_stand_ms, NOW_MS + 1000);
        say(&house, "GET k", "$-1\r\n");
        say(&house, "PTTL k", ":-2\r\n");
        say(&house, "PEXPIRETIME k", ":-2\r\n");
        say(&house, "DEL k", ":0\r\n");
    }
    close_house(&house);
}

TEST(each_command_of_a_pipeline_looks_at_the_clock_itself) {
    house house;
    atomic_store(&clock_stand_ms, NOW_MS);
    open_house(&house);
    atomic_store(&clock_creep_ms, 1);
    const char *got = replies(&house, "PSETEX a 1000 v\r\nPSETEX b 1000 v\r\nPEXPIRETIME a\r\n"
                                      "PEXPIRETIME b\r\n", 4);
    char *a = strchr(got, ':'), *b = a != NULL ? strchr(a + 1, ':') : NULL;
    CHECK(b != NULL && strtoll(b + 1, NULL, 10) > strtoll(a + 1, NULL, 10));
    close_house(&house);
}
