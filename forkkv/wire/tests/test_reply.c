/* test_reply.c -- numbers, buffers and the reply encoders. */
#include <stdlib.h>
#include <string.h>

#include "closed.h"
#include "number.h"
#include "reply.h"
#include "test.h"

static void check_number(const char *text, bool valid, int64_t wanted) {
    int64_t value = 0;
    CHECK_EQUAL(number_parse(text, strlen(text), &value), valid);
    if (!valid)
        return;
    char written[NUMBER_TEXT_MAX + 1] = {0};
    number_format(value, written);
    CHECK_EQUAL(value, wanted);
    CHECK_TEXT(written, text);
}

TEST(numbers_have_one_spelling) {
    check_number("0", true, 0);
    check_number("-1", true, -1);
    check_number("1234567890", true, 1234567890);
    check_number("9223372036854775807", true, INT64_MAX);
    check_number("-9223372036854775808", true, INT64_MIN);
    const char *const wrong[] = {"", "-", "-0", "01", "+1", " 1", "1 ", "1.5", "0x1", "--1",
                                 "9223372036854775808", "-9223372036854775809",
                                 "99999999999999999999", "100000000000000000000"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_number(wrong[i], false, 0);
}

TEST(a_buffer_gives_back_what_was_put_in_in_order) {
    uint64_t seed = random_seed();
    buffer self = {0}, other = {0};
    unsigned written = 0, read = 0;
    for (int round = 0; round < 5000; round++) {
        size_t size = 4 * random_below(&seed, round % 100 == 0 ? 50000 : 50);
        char *room = buffer_room(&self, size);
        CHECK(room);
        for (size_t i = 0; i < size; i += 4, written++)
            memcpy(room + i, &written, 4);
        buffer_added(&self, size);
        if (random_below(&seed, 4) == 0) {
            CHECK(buffer_move(&self, &other));
            buffer_shrink(&self, 0);
            CHECK_EQUAL(buffer_size(&self), 0);
        }
        size_t taken = buffer_size(&other) / 4;
        taken = taken ? random_below(&seed, (unsigned)taken + 1) : 0;
        for (size_t i = 0; i < taken; i++, read++)
            CHECK(memcmp(buffer_bytes(&other) + 4 * i, &read, 4) == 0);
        buffer_consume(&other, 4 * taken);
        buffer_shrink(&other, 100);
    }
    CHECK_EQUAL(buffer_size(&self) + buffer_size(&other), 4 * (written - read));
    buffer_deinit(&self);
    buffer_deinit(&other);
}

static void check_reply(reply *self, const char *wanted) {
    reply_raw(self, "", 1); /* the terminating NUL */
    CHECK_TEXT(buffer_bytes(&self->bytes), wanted);
    buffer_deinit(&self->bytes);
}

TEST(replies_are_encoded_for_the_protocol_of_the_connection) {
    for (int protocol = 2; protocol <= 3; protocol++) {
        reply self = {.size_max = 1000, .protocol = protocol};
        reply_ok(&self);
        reply_integer(&self, -7);
        reply_array(&self, 2);
        reply_bulk(&self, "a\r\nb", 4);
        reply_null(&self);
        check_reply(&self, protocol == 2 ? "+OK\r\n:-7\r\n*2\r\n$4\r\na\r\nb\r\n$-1\r\n"
                                         : "+OK\r\n:-7\r\n*2\r\n$4\r\na\r\nb\r\n_\r\n");
    }
}

TEST(an_error_is_one_line) {
    reply self = {.size_max = 10000};
    reply_error(&self, "ERR no '%s'", "a\r\nb");
    CHECK(self.failed);
    check_reply(&self, "-ERR no 'a  b'\r\n");
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    reply_error(&self, "ERR %s", long_text);
    CHECK(buffer_size(&self.bytes) < 600);
    CHECK(memcmp(self.bytes.data + self.bytes.end - 2, "\r\n", 2) == 0);
    buffer_deinit(&self.bytes);
}

TEST(a_value_read_again_replaces_what_the_first_try_left) {
    reply self = {.size_max = 1000};
    reply_ok(&self);
    reply_bulk_sink sink = reply_sink(&self);
    memcpy(sink.sink.room(&sink.sink, 3), "abc", 3);
    memcpy(sink.sink.room(&sink.sink, 2), "de", 2);
    reply_integer(&self, 1);
    check_reply(&self, "+OK\r\n$2\r\nde\r\n:1\r\n");
}

TEST(a_reply_above_its_limit_breaks_and_stays_broken) {
    reply self = {.size_max = 10};
    reply_ok(&self);
    reply_bulk_sink sink = reply_sink(&self);
    CHECK(sink.sink.room(&sink.sink, 100) == NULL);
    reply_sink_undo(&sink);
    CHECK_TEXT(self.broken, CLOSED_REPLY_LIMIT);
    reply_ok(&self);
    CHECK_EQUAL(buffer_size(&self.bytes), 5);
    buffer_deinit(&self.bytes);
}
