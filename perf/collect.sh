#!/usr/bin/env bash
# collect.sh -- counts the system calls of every forkkv process and of its clients, one perf each.
#
# USAGE: collect.sh [--name NAME | --pid PID...] [--seconds S] [--interval S] [--out DIR]
#                   [--client "COMMAND"]... [--client-pid PID]... [--source S]
#   e.g. collect.sh --seconds 5
#        collect.sh --client "forkkv client --id 1 --workload mixed --ops 10000"
#        collect.sh --pid "$(pgrep -o redis-server)" --seconds 5
#   It leaves DIR/run.json and files of counts. Read them with: forkkv report DIR
#   It is the command `forkkv collect`; collect.sh --help tells all options and exit codes.
#
# REQUIREMENTS: the forkkv command. For perf's counts: perf 5 or later, and root or CAP_PERFMON +
#   CAP_DAC_READ_SEARCH; what is missing is said, with the remedy, and a lesser source is taken.
#
# OVERHEAD: the kernel counts, perf sleeps until the end; perf/README.md has what was measured.
set -u

forkkv=$(command -v forkkv) || {
    echo "collect.sh: the forkkv command is not on PATH; activate its environment" \
        "(. .venv/bin/activate)" >&2
    exit 3
}
exec "$forkkv" collect "$@"
