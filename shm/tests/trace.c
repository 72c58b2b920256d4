/* trace.c -- stepping a child through its instructions with ptrace. */
#include "trace.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_traced(fkv_table *table, operation run, void *context) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    if (table != NULL)
        fkv_own_activity(table);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        test_failed(__FILE__, __LINE__, "ptrace is not allowed here");
    raise(SIGSTOP);
    run(table, context);
    _exit(0);
}

size_t kill_after(size_t most, fkv_table *table, operation run, void *context) {
    size_t steps = 0;
    int status;
    pid_t pid = start_traced(table, run, context);
    CHECK(waitpid(pid, &status, 0) == pid);
    while (WIFSTOPPED(status) && steps < most) {
        int number = WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)number) == 0);
        CHECK(waitpid(pid, &status, 0) == pid);
        steps++;
    }
    if (WIFSTOPPED(status))
        kill_child(pid);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        test_failed(__FILE__, __LINE__, "traced child ended with wait status %#x", status);
    return steps;
}
