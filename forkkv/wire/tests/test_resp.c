/* test_resp.c -- the request parser: what it accepts, what it refuses, and pieces of both. */
#include <stdlib.h>
#include <string.h>

#include "resp.h"
#include "test.h"

#define BULK_MAX 1000

/* A reader over bytes of its own, exactly as large as the text, so that ASan sees every step over
 * the end. */
typedef struct input {
    resp_reader reader;
    resp_progress progress;
    char *bytes;
    size_t size, consumed;
} input;

static input feed_bytes(const char *bytes, size_t size) {
    input self = {.reader.bulk_max = BULK_MAX, .bytes = malloc(size ? size : 1), .size = size};
    memcpy(self.bytes, bytes, size);
    return self;
}

static input feed(const char *text) {
    return feed_bytes(text, strlen(text));
}

static resp_status parse(input *self) {
    return resp_parse(&self->reader, self->bytes, self->size, &self->progress, &self->consumed);
}

static void drop(input *self) {
    resp_reader_deinit(&self->reader);
    free(self->bytes);
}

/* The arguments, each in angle brackets. */
static const char *shown(const resp_reader *reader) {
    static char text[4096];
    size_t at = 0;
    for (size_t i = 0; i < reader->count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "<%.*s>", (int)reader->args[i].size,
                               reader->args[i].data);
    text[at] = 0;
    return text;
}

/* Parses the whole of `text` as one request. */
static void check_request(const char *text, const char *wanted) {
    input in = feed(text);
    CHECK_EQUAL(parse(&in), RESP_REQUEST);
    CHECK_TEXT(shown(&in.reader), wanted);
    CHECK_EQUAL(in.consumed, strlen(text));
    drop(&in);
}

static void check_error(const char *text, const char *wanted) {
    input in = feed(text);
    for (int looks = resp_is_inline(text) ? 1 : 2; looks > 0; looks--) {
        CHECK_EQUAL(parse(&in), RESP_ERROR);
        CHECK_TEXT(in.reader.error, wanted);
        CHECK_EQUAL(in.reader.count, 0);
    }
    drop(&in);
}

TEST(multibulk_requests_are_split_into_arguments) {
    check_request("*1\r\n$4\r\nPING\r\n", "<PING>");
    check_request("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "<GET><>");
    check_request("*2\r\n$3\r\nGET\r\n$4\r\n\r\n$1\r\n", "<GET><\r\n$1>");
    check_request("*0\r\n", "");
    check_request("*-1\r\n", "");
    check_request("*-9223372036854775808\r\n", "");
}

TEST(inline_requests_are_split_as_a_shell_would) {
    check_request("PING\r\n", "<PING>");
    check_request("set  a\tb \n", "<set><a><b>");
    check_request("\r\n", "");
    check_request("\n", "");
    check_request("   \r\n", "");
    check_request("set a \"b c\"\n", "<set><a><b c>");
    check_request("set a 'b \"c'\n", "<set><a><b \"c>");
    check_request("a \"\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\"\n", "<a><A\n\r\t\b\a\\\"q>");
    check_request("a \"\\xzz\" 'it\\'s' '\\n'\n", "<a><xzz><it's><\\n>");
    check_request("a pre\"fix ed\" \"\" ''\n", "<a><prefix ed><><>");
}

TEST(protocol_errors_have_the_texts_clients_know) {
    check_error("*abc\r\n", "Protocol error: invalid multibulk length");
    check_error("*\r\n", "Protocol error: invalid multibulk length");
    check_error("*01\r\n", "Protocol error: invalid multibulk length");
    check_error("*+1\r\n", "Protocol error: invalid multibulk length");
    check_error("*2147483648\r\n", "Protocol error: invalid multibulk length");
    check_error("*99999999999999999999\r\n", "Protocol error: invalid multibulk length");
    check_error("*1\r\n:4\r\n", "Protocol error: expected '$', got ':'");
    check_error("*1\r\n\x01\r\n", "Protocol error: expected '$', got '?'");
    check_error("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    check_error("*1\r\n$1x\r\n", "Protocol error: invalid bulk length");
    check_error("*1\r\n$1001\r\n", "Protocol error: invalid bulk length");
    check_error("a \"b\n", "Protocol error: unbalanced quotes in request");
    check_error("a \"b\"c\n", "Protocol error: unbalanced quotes in request");
    check_error("a 'b\n", "Protocol error: unbalanced quotes in request");
    check_error("a \"b\\\n", "Protocol error: unbalanced quotes in request");
}

/* `head`, then more of `fill` than a line may have. */
static void check_endless_line(const char *head, char fill, const char *wanted) {
    size_t size = strlen(head) + RESP_LINE_MAX + 1;
    char *text = malloc(size);
    memset(text, fill, size);
    memcpy(text, head, strlen(head));
    input in = feed_bytes(text, size);
    CHECK_EQUAL(parse(&in), RESP_ERROR);
    CHECK_TEXT(in.reader.error, wanted);
    drop(&in);
    free(text);
}

TEST(lines_without_an_end_are_refused) {
    check_endless_line("", 'a', "Protocol error: too big inline request");
    check_endless_line("*", '1', "Protocol error: too big mbulk count string");
    check_endless_line("*1\r\n$", '1', "Protocol error: too big bulk count string");
}

static void check_prefixes(const char *text, const char *wanted) {
    resp_progress kept = {0};
    for (size_t size = 0; size <= strlen(text); size++) {
        input fresh = feed_bytes(text, size), resumed = feed_bytes(text, size);
        resumed.progress = kept;
        resp_status expected = size < strlen(text) ? RESP_MORE : RESP_REQUEST;
        CHECK_EQUAL(parse(&fresh), expected);
        CHECK_EQUAL(parse(&resumed), expected);
        CHECK(size == strlen(text) || resumed.progress.needed <= strlen(text));
        CHECK_TEXT(shown(&fresh.reader), size < strlen(text) ? "" : wanted);
        CHECK_TEXT(shown(&resumed.reader), size < strlen(text) ? "" : wanted);
        kept = resumed.progress;
        drop(&fresh);
        drop(&resumed);
    }
}

TEST(every_prefix_of_a_request_is_incomplete) {
    check_prefixes("*3\r\n$3\r\nSET\r\n$12\r\nabcdefghijkl\r\n$0\r\n\r\n", "<SET><abcdefghijkl><>");
    check_prefixes("set 'a b' \"c\\x41\"\r\n", "<set><a b><cA>");
}

TEST(an_unfinished_bulk_says_how_many_bytes_it_needs) {
    input in = feed("*2\r\n$3\r\nGET\r\n$500\r\nabc");
    CHECK_EQUAL(parse(&in), RESP_MORE);
    CHECK_EQUAL(in.progress.needed, strlen("*2\r\n$3\r\nGET\r\n$500\r\n") + 500 + 2);
    CHECK_EQUAL(in.progress.remaining, 1);
    drop(&in);
}

TEST(requests_follow_each_other_in_one_buffer) {
    const char *text = "*1\r\n$4\r\nPING\r\nget a\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n*1\r\n";
    input in = feed(text);
    size_t at = 0;
    while (resp_parse(&in.reader, in.bytes + at, in.size - at, &in.progress, &in.consumed) ==
           RESP_REQUEST)
        at += in.consumed;
    CHECK_TEXT(shown(&in.reader), "<PING><get><a><ECHO><x>");
    CHECK_EQUAL(in.size - at, strlen("*1\r\n"));
    drop(&in);
}
