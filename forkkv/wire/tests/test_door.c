/* test_door.c -- a door in this process with real sockets: under the sanitizers, the paths that
 * move, keep and give up memory. What the commands mean is tests/test_hot.py's. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "door.h"
#include "test.h"

/* ---- a door and its clients ------------------------------------------------------------------ */

typedef struct house {
    door door;
    fkv_table *table;
    int listener;
    struct sockaddr_in address;
    uint64_t stopped;       /* the connection that waits for an answer, or 0 */
    const char *closed;     /* the reason of the last one that was closed */
} house;

static void on_acceptable(void *context, int listener) {
    (void)context, (void)listener;
}

static void on_command(void *context, uint64_t id, const resp_arg *args, size_t count) {
    CHECK(count > 0 && args[0].size > 0);
    ((house *)context)->stopped = id;
}

static void on_closed(void *context, uint64_t id, const char *reason) {
    (void)id;
    ((house *)context)->closed = reason;
}

static void open_house(house *self, const door_limits *limits) {
    signal(SIGPIPE, SIG_IGN);
    *self = (house){.table = new_table(16 * MIB)};
    const door_hooks hooks = {self, on_acceptable, on_command, on_closed};
    CHECK(door_init(&self->door, limits, &hooks) == 0);
    door_use(&self->door, self->table);
    socklen_t size = sizeof self->address;
    self->address = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(bind(self->listener, (struct sockaddr *)&self->address, size) == 0);
    CHECK(listen(self->listener, 16) == 0);
    CHECK(getsockname(self->listener, (struct sockaddr *)&self->address, &size) == 0);
    CHECK(door_listen(&self->door, self->listener) == 0);
}

static void close_house(house *self) {
    door_deinit(&self->door);
    close(self->listener);
}

static int connect_to(house *self, connection **ret) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&self->address, sizeof self->address) == 0);
    WAIT_UNTIL(door_accept(&self->door, self->listener, ret) == 1);
    return fd;
}

static void tick(house *self) {
    CHECK(door_wait(&self->door, 0) >= 0);
    door_serve(&self->door);
}

static void send_bytes(int fd, const char *bytes, size_t size) {
    CHECK(send(fd, bytes, size, 0) == (ssize_t)size);
}

static void send_text(int fd, const char *text) {
    send_bytes(fd, text, strlen(text));
}

/* One tick; then returns how many bytes the client received. */
static size_t receive(house *self, int fd, char *bytes, size_t size) {
    tick(self);
    ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);
    return got > 0 ? (size_t)got : 0;
}

/* Ticks until the client has exactly this reply. */
static void check_reply(house *self, int fd, const char *wanted) {
    char got[512] = {0};
    size_t size = 0;
    WAIT_UNTIL((size += receive(self, fd, got + size, sizeof got - 1 - size)) >= strlen(wanted));
    CHECK_TEXT(got, wanted);
}

static void wait_closed(house *self, const char *reason) {
    WAIT_UNTIL((tick(self), self->closed));
    CHECK_TEXT(self->closed, reason);
    CHECK_EQUAL(self->door.connections.count, 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

TEST(a_command_outside_the_table_keeps_its_place_among_the_replies) {
    house house;
    connection *client;
    open_house(&house, &DOOR_LIMITS_DEFAULT);
    int fd = connect_to(&house, &client);
    send_text(fd, "set a 1\r\nINFO x\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    send_text(fd, "*1\r\n$4\r\nPING\r\nCOMMAND\r\nping\r\n");
    WAIT_UNTIL((tick(&house), house.stopped));
    tick(&house); /* nothing runs meanwhile, and the event does not come again */
    CHECK_EQUAL(client->commands, 1);
    house.stopped = 0;
    door_answer(&house.door, client, "+one\r\n", 6);
    CHECK(house.stopped == client->id);
    door_answer(&house.door, client, "+two\r\n", 6);
    check_reply(&house, fd, "+OK\r\n+one\r\n$1\r\n1\r\n+PONG\r\n+two\r\n+PONG\r\n");
    close(fd);
    wait_closed(&house, CLOSED_BY_CLIENT);
    close_house(&house);
}

TEST(requests_may_come_in_pieces_of_any_size) {
    house house;
    connection *client;
    open_house(&house, &DOOR_LIMITS_DEFAULT);
    int fd = connect_to(&house, &client);
    const char *text = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\nget \"a\"\r\n";
    for (size_t piece = 1; piece < strlen(text); piece++) {
        for (size_t at = 0; at < strlen(text); at += piece) {
            size_t left = strlen(text) - at;
            send_bytes(fd, text + at, left < piece ? left : piece);
            tick(&house);
        }
        check_reply(&house, fd, "+OK\r\n$5\r\nhello\r\n");
    }
    close(fd);
    close_house(&house);
}

TEST(a_large_value_goes_in_and_out_and_its_memory_is_given_back) {
    enum { SIZE = 3000000 };
    house house;
    connection *client;
    open_house(&house, &DOOR_LIMITS_DEFAULT);
    int fd = connect_to(&house, &client);
    char *value = calloc(1, SIZE);
    send_text(fd, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$3000000\r\n");
    for (size_t sent = 0; sent < SIZE;) {
        ssize_t more = send(fd, value + sent, SIZE - sent, MSG_DONTWAIT);
        sent += more > 0 ? (size_t)more : 0;
        tick(&house);
        CHECK(client->query.capacity <= SIZE + 100); /* the bytes are gathered in one place */
    }
    send_text(fd, "\r\nget b\r\n");
    char head[14] = {0}; /* +OK, then $3000000 */
    size_t got = 0;
    WAIT_UNTIL((got += receive(&house, fd, head + got, 13 - got)) == 13);
    WAIT_UNTIL((got += receive(&house, fd, value, SIZE)) == 5 + 10 + SIZE + 2);
    CHECK_TEXT(head, "+OK\r\n$3000000");
    CHECK_EQUAL(client->query.capacity + client->unsent.capacity, 0);
    CHECK(house.door.reply.bytes.capacity <= MIB);
    free(value);
    close(fd);
    close_house(&house);
}

TEST(a_client_that_does_not_read_is_paused_and_then_goes_on) {
    enum { GETS = 200, SIZE = 50000 };
    house house;
    connection *client;
    door_limits limits = DOOR_LIMITS_DEFAULT;
    limits.reply_paused = 100000;
    open_house(&house, &limits);
    int fd = connect_to(&house, &client);
    static char value[SIZE];
    fkv_key key = text_key(house.table, "v");
    CHECK_OK(fkv_set(house.table, &key, value, SIZE, 0, 0, NULL, NULL));
    for (int i = 0; i < GETS; i++)
        send_text(fd, "*2\r\n$3\r\nGET\r\n$1\r\nv\r\n");
    WAIT_UNTIL((tick(&house), client->paused));
    CHECK(buffer_size(&client->unsent) <= limits.reply_paused + SIZE + 100);
    size_t got = 0;
    WAIT_UNTIL((got += receive(&house, fd, value, SIZE)) == GETS * (8 + SIZE + 2));
    CHECK_EQUAL(client->commands, GETS);
    close(fd);
    close_house(&house);
}

TEST(limits_close_the_connection_and_are_counted) {
    house house;
    connection *client;
    door_limits limits = {.query_max = 10000, .bulk_max = 100000, .reply_max = 5000,
                          .reply_paused = 1000000};
    open_house(&house, &limits);
    int fd = connect_to(&house, &client);
    send_text(fd, "*2\r\n$3\r\nGET\r\n$20000\r\n");
    wait_closed(&house, CLOSED_QUERY_LIMIT);
    close(fd);
    house.closed = NULL;
    fd = connect_to(&house, &client);
    static char text[6100];
    memset(text, 'x', sizeof text);
    memcpy(text, "*2\r\n$4\r\nECHO\r\n$6000\r\n", 21);
    send_bytes(fd, text, sizeof text);
    wait_closed(&house, CLOSED_REPLY_LIMIT);
    close(fd);
    const uint64_t *counts = fkv_own_activity(house.table)->counts;
    CHECK_EQUAL(counts[FKV_COUNT_query_limit_closed], 1);
    CHECK_EQUAL(counts[FKV_COUNT_reply_limit_closed], 1);
    close_house(&house);
}

/* ---- random commands ------------------------------------------------------------------------- */

static const char *const words[] = {"a",  "b",  "c",    "0",  "-1", "17", "ex", "px", "nx", "xx",
                                    "gt", "lt", "get", "100", "keepttl", "persist", "exat", "\"\""};

static size_t random_command(char *text, size_t room, uint64_t *seed) {
    const hot_command *command = &hot_commands[random_below(seed, hot_command_count)];
    int at = snprintf(text, room, "%s", strcmp(command->name, "quit") ? command->name : "nosuch");
    for (unsigned i = random_below(seed, 7); i > 0; i--)
        at += snprintf(text + at, room - (size_t)at, " %s",
                       words[random_below(seed, sizeof words / sizeof words[0])]);
    return (size_t)(at + snprintf(text + at, room - (size_t)at, "\r\n"));
}

TEST(random_commands_leave_the_door_and_the_table_whole) {
    enum { CLIENTS = 5, ROUNDS = 20000 };
    uint64_t seed = random_seed();
    house house;
    connection *clients[CLIENTS];
    int fds[CLIENTS];
    char text[256], replies[65536];
    open_house(&house, &DOOR_LIMITS_DEFAULT);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = connect_to(&house, &clients[i]);
    for (int round = 0; round < ROUNDS; round++) {
        int fd = fds[random_below(&seed, CLIENTS)];
        send_bytes(fd, text, random_command(text, sizeof text, &seed));
        house.stopped = 0;
        tick(&house);
        connection *client = connection_find(&house.door.connections, house.stopped);
        if (client)
            door_answer(&house.door, client, "-ERR no such command\r\n", 22);
        recv(fd, replies, sizeof replies, MSG_DONTWAIT);
    }
    CHECK_EQUAL(house.door.connections.count, CLIENTS);
    check_clean(house.table);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    close_house(&house);
}
