/* runner.c -- runs every test in a process of its own, a few at a time, and says which failed.
 *
 * Arguments: parts of names choose tests, -l lists them. Environment: JOBS says how many run at once,
 * DEADLINE after how many seconds a test is ended; VERBOSE=1 shows what the tests print; FORKKV_SEED
 * repeats a random test. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define JOBS_MAX 16

static test *tests;

typedef struct job {
    pid_t pid;
    test *test;
    FILE *output;
    double started;
} job;

/* Constructors run in no order to rely on: kept sorted by name. */
void add_test(test *entry) {
    test **at = &tests;
    while (*at != NULL && strcmp((*at)->name, entry->name) < 0)
        at = &(*at)->next;
    entry->next = *at;
    *at = entry;
}

static bool chosen(const test *entry, char **parts) {
    if (*parts == NULL)
        return true;
    for (; *parts != NULL; parts++)
        if (strstr(entry->name, *parts) != NULL)
            return true;
    return false;
}

static unsigned deadline_seconds(void) {
    const char *text = getenv("DEADLINE");
    return text != NULL ? (unsigned)atol(text) : DEADLINE_SECONDS;
}

static void start(job *job, test *entry) {
    *job = (struct job){.test = entry, .output = tmpfile(), .started = seconds_now()};
    job->pid = fork();
    if (job->pid != 0)
        return;
    setpgid(0, 0); /* so that a test that hangs is ended with all its children */
    dup2(fileno(job->output), STDOUT_FILENO);
    dup2(fileno(job->output), STDERR_FILENO);
    alarm(deadline_seconds());
    entry->run();
    finish_tables();
    exit(0);
}

/* What the test printed: all of it, or only its notes. */
static void show(FILE *output, bool all) {
    char line[512];
    size_t mark = strlen(NOTE_MARK);
    rewind(output);
    while (fgets(line, sizeof line, output) != NULL) {
        bool noted = strncmp(line, NOTE_MARK, mark) == 0;
        if (all || noted)
            printf("                %s", line + (noted ? mark : 0));
    }
}

/* Waits for one job to end. Returns whether it failed. */
static bool finish_one(job *jobs, unsigned count) {
    int status;
    pid_t pid = wait(&status);
    for (unsigned i = 0; i < count; i++) {
        if (jobs[i].pid != pid)
            continue;
        bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        kill(-pid, SIGKILL); /* children that it left behind */
        printf("%-6s %5.2f s  %s\n", failed ? "FAILED" : "ok", seconds_now() - jobs[i].started,
               jobs[i].test->name);
        if (WIFSIGNALED(status))
            printf("    ended by signal %d\n", WTERMSIG(status));
        show(jobs[i].output, failed || getenv("VERBOSE") != NULL);
        fclose(jobs[i].output);
        jobs[i].pid = 0;
        fflush(stdout);
        return failed;
    }
    return false;
}

static unsigned job_count(void) {
    const char *text = getenv("JOBS");
    long count = text != NULL ? atol(text) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > JOBS_MAX ? JOBS_MAX : (unsigned)count;
}

int main(int argc, char **argv) {
    job jobs[JOBS_MAX] = {0};
    unsigned run = 0, failed = 0, busy = 0, slots = job_count();
    bool list = argc > 1 && strcmp(argv[1], "-l") == 0;
    double started = seconds_now();
    for (test *entry = tests; entry != NULL; entry = entry->next) {
        if (list && puts(entry->name) >= 0)
            continue;
        if (!chosen(entry, argv + 1))
            continue;
        if (busy == slots) {
            failed += finish_one(jobs, slots);
            busy--;
        }
        unsigned at = 0;
        while (jobs[at].pid != 0)
            at++;
        fflush(stdout);
        start(&jobs[at], entry);
        busy++, run++;
    }
    for (; busy > 0; busy--)
        failed += finish_one(jobs, slots);
    printf("%u tests, %u failed, %.1f s\n", run, failed, seconds_now() - started);
    return failed != 0;
}
