/* test_fuzz.c -- random and damaged requests: parsed whole or in pieces, the outcome is the same,
 * and nothing outside the bytes at hand is touched. */
#include <stdlib.h>
#include <string.h>

#include "resp.h"
#include "test.h"

#define ROUNDS 30000
#define INPUT_MAX 400
#define OUTCOME_MAX 8192
#define BULK_MAX 300

/* ---- making input ---------------------------------------------------------------------------- */

typedef struct text {
    char bytes[INPUT_MAX];
    size_t size;
} text;

static void add(text *self, const char *bytes, size_t size) {
    size = size < INPUT_MAX - self->size ? size : INPUT_MAX - self->size;
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
}

static void add_request(text *self, uint64_t *seed) {
    char part[64];
    unsigned count = random_below(seed, 5);
    add(self, part, (size_t)snprintf(part, sizeof part, "*%u\r\n", count));
    for (unsigned i = 0; i < count; i++) {
        unsigned size = random_below(seed, random_below(seed, 4) ? 8 : 60);
        add(self, part, (size_t)snprintf(part, sizeof part, "$%u\r\n", size));
        for (unsigned j = 0; j < size; j++)
            part[j] = (char)random_below(seed, 256);
        add(self, part, size);
        add(self, "\r\n", 2);
    }
}

static void add_line(text *self, uint64_t *seed) {
    static const char *const words[] = {"get ", "\"a b\" ", "'it\\'s' ", "\"\\x41\\n\"",
                                        "\t",   "é ",       "\"",        "'", "\\", "x"};
    unsigned count = random_below(seed, 6);
    for (unsigned i = 0; i < count; i++) {
        const char *word = words[random_below(seed, sizeof words / sizeof words[0])];
        add(self, word, strlen(word));
    }
    add(self, random_below(seed, 2) ? "\r\n" : "\n", random_below(seed, 2) ? 2 : 1);
}

static void damage(text *self, uint64_t *seed) {
    static const char marks[] = "*$\r\n-0123456789\"'\\ \0:";
    for (unsigned i = random_below(seed, 3); i > 0 && self->size > 0; i--) {
        size_t at = random_below(seed, (unsigned)self->size);
        if (random_below(seed, 3) == 0) {
            memmove(self->bytes + at, self->bytes + at + 1, self->size - at - 1);
            self->size--;
        } else {
            self->bytes[at] = marks[random_below(seed, sizeof marks - 1)];
        }
    }
}

static text make_input(uint64_t *seed) {
    text self = {.size = 0};
    for (unsigned i = 1 + random_below(seed, 4); i > 0; i--)
        if (random_below(seed, 3) == 0)
            add_line(&self, seed);
        else
            add_request(&self, seed);
    if (random_below(seed, 2))
        damage(&self, seed);
    return self;
}

/* ---- running it ------------------------------------------------------------------------------ */

/* Everything that came out: requests with their arguments, the error if any, and the rest. */
typedef struct outcome {
    char text[OUTCOME_MAX];
    size_t size;
} outcome;

static void note(outcome *self, const char *bytes, size_t size) {
    CHECK(self->size + size < OUTCOME_MAX);
    memcpy(self->text + self->size, bytes, size);
    self->size += size;
}

static void note_request(outcome *self, resp_reader *reader) {
    note(self, "\n(", 2);
    for (size_t i = 0; i < reader->count; i++) {
        CHECK(reader->args[i].size <= INPUT_MAX);
        note(self, reader->args[i].data, reader->args[i].size);
        note(self, "|", 1);
    }
    reader->count = 0;
}

/* Gives the parser up to `piece_max` more bytes at a time, in memory of exactly that size. */
static outcome run(const text *input, unsigned piece_max, uint64_t *seed) {
    outcome result = {.size = 0};
    resp_reader reader = {.bulk_max = BULK_MAX};
    resp_progress progress = {0};
    resp_status status = RESP_MORE;
    size_t start = 0, end = 0, used;
    while (end < input->size && status == RESP_MORE) {
        size_t piece = 1 + random_below(seed, piece_max);
        end = end + piece < input->size ? end + piece : input->size;
        char *bytes = malloc(end - start);
        memcpy(bytes, input->bytes + start, end - start);
        size_t at = 0, size = end - start;
        while ((status = resp_parse(&reader, bytes + at, size - at, &progress, &used)) ==
               RESP_REQUEST) {
            CHECK(used > 0 && used <= size - at);
            note_request(&result, &reader);
            at += used;
        }
        start += at;
        free(bytes);
    }
    if (status == RESP_ERROR)
        note(&result, reader.error, strlen(reader.error));
    else
        note(&result, input->bytes + start, input->size - start);
    resp_reader_deinit(&reader);
    return result;
}

TEST(requests_in_pieces_come_out_as_when_whole) {
    uint64_t seed = random_seed();
    for (int round = 0; round < ROUNDS; round++) {
        text input = make_input(&seed);
        outcome whole = run(&input, INPUT_MAX * 100, &seed);
        outcome pieces = run(&input, 1 + random_below(&seed, 40), &seed);
        CHECK_EQUAL(pieces.size, whole.size);
        CHECK(memcmp(pieces.text, whole.text, whole.size) == 0);
    }
}
