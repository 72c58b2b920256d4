#!/usr/bin/env bash
# collect.sh -- counts the system calls of every forkkv process and of its clients, one perf each.
#
# USAGE: collect.sh [--name NAME] [--seconds S] [--out DIR] [--client "COMMAND"]... [--source S]
#   --name NAME         the table whose server is counted (default: default)
#   --seconds S         length of the window; without it, until the clients end or Ctrl-C
#   --out DIR           where the result goes (default: forkkv-run-DATE); never over an old one
#   --client "COMMAND"  a command (no pipeline) to start and count; may be given several times
#   --source S          auto (default): perf, else forkkv's own counters; perf: perf or an error;
#                       forkkv: own counters only
#   e.g. collect.sh --seconds 5
#        collect.sh --client "forkkv client --id 1 --workload mixed --ops 10000"
#   It leaves DIR/run.json and one file of counts per process. Read them with: forkkv report DIR
#
# REQUIREMENTS: bash 5, the forkkv command and a running server. For perf's counts: perf 5 or later,
#   and root or CAP_PERFMON + CAP_DAC_READ_SEARCH; what is missing is said, with the remedy.
#
# OVERHEAD: the kernel counts, perf sleeps until the end; perf/README.md has what was measured.
#   `forkkv stats` runs four times, twice at each edge of the window.
#
# EXIT CODES: 0 all counted; 2 wrong usage; 3 no server to count; 4 DIR in use; 5 perf is missing;
#   6 perf is not permitted (5 and 6 only with --source perf); 7 written, but something was lost.

# A script that starts this in the background has it ignore Ctrl-C, and what it starts as well.
[[ -z $(trap -p INT) ]] || exec env --default-signal=INT bash "${BASH_SOURCE[0]}" "$@"
set -u -m # -m: every job is a process group of its own, so Ctrl-C reaches this script alone
export LC_ALL=C

name=default seconds='' out='' source=auto commands=()
labels=() clients=() perf_arguments=() stop='' opened='' closed='' timer=''
counter=forkkv # who counts: perf, or forkkv itself
aligned=no     # whether all perfs start and stop together, by --control
declare -A pid_of job_of ctl_of ack_of exit_of

pause() { read -r -t 0.1 -u "$never"; } # without a process, and a signal cannot be missed
alive() { kill -0 "$1" 2>/dev/null; }
lab() { shielded "$python" -m "forkkv.perf.$1" "${@:2}"; }
say() { printf '%s\n' "$*" >&2; }
die() { say "collect.sh: ${*:2}"; exit "$1"; }
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# Runs a command to its end, whatever is typed meanwhile: Ctrl-C then only sets `stop`.
shielded() {
    local job
    "$@" </dev/null &
    job=$!
    while alive "$job"; do wait "$job"; done
    wait "$job"
}

parse_options() {
    while (($#)); do
        case $1 in
        -h | --help) usage; exit 0 ;;
        --name | --seconds | --out | --client | --source)
            (($# > 1)) || die 2 "$1 needs a value; see collect.sh --help" ;;
        *) die 2 "unknown argument '$1'; see collect.sh --help" ;;
        esac
        case $1 in
        --name) name=$2 ;;
        --seconds) seconds=$2 ;;
        --out) out=$2 ;;
        --client) commands+=("$2") ;;
        --source) source=$2 ;;
        esac
        shift 2
    done
    [[ $seconds =~ ^([0-9]+(\.[0-9]+)?)?$ ]] || die 2 "--seconds takes a number such as 5 or 0.5"
    [[ $source =~ ^(auto|perf|forkkv)$ ]] || die 2 "--source is one of: auto, perf, forkkv"
}

prepare() {
    [[ -n ${EPOCHREALTIME:-} ]] || die 2 "bash 5 or later is needed; this is bash $BASH_VERSION"
    forkkv=$(command -v forkkv) ||
        die 3 "the forkkv command is not on PATH; activate its environment (. .venv/bin/activate)"
    python=$(dirname -- "$(readlink -f -- "$forkkv")")/python3
    [[ -x $python ]] || python=python3
    "$python" -c 'import forkkv.perf' 2>/dev/null ||
        die 3 "$python does not know forkkv; activate its environment (. .venv/bin/activate)"
    out=${out:-forkkv-run-$(date +%Y%m%d-%H%M%S)}
    mkdir -p -- "$out" || die 4 "cannot make the directory $out; choose another with --out"
    [[ -z $(ls -A -- "$out") ]] || die 4 "$out is not empty; remove it, or choose another by --out"
    scratch=$(mktemp -d)
    mkfifo "$scratch/never"
    exec {never}<>"$scratch/never"
    trap 'stop=interrupt' INT TERM
    trap clean_up EXIT
}

clean_up() {
    local label
    for label in "${!job_of[@]}"; do end_job "$label"; done
    [[ -n $timer ]] && kill "$timer" 2>/dev/null
    rm -rf -- "$scratch"
    rmdir -- "$out" 2>/dev/null # succeeds only if nothing was written
}

# Takes forkkv's own counters as scratch/WHEN.json: before and start at one edge of the window, end
# and after at the other. perf's window lies between them, so its counts can be checked exactly.
snapshot() {
    shielded "$forkkv" stats --name "$name" --json >"$scratch/json" 2>"$scratch/error" &&
        mv -- "$scratch/json" "$scratch/$1.json"
}

find_processes() {
    local label pid
    snapshot before ||
        die 3 "forkkv stats --name $name failed: $(tail -n 1 "$scratch/error" | sed 's/^Error: //')"
    while read -r label pid; do
        labels+=("$label")
        pid_of[$label]=$pid
    done < <(lab record processes "$scratch/before.json")
    ((${#labels[@]})) ||
        die 3 "table $name has no running server; start one: forkkv serve --name $name"
}

choose_source() {
    local code
    [[ $source == forkkv ]] && return
    lab probe "${pid_of[${labels[0]}]}" "$scratch/perf.json" >"$scratch/arguments"
    code=$?
    if ((code == 0)); then
        counter=perf
        { read -r aligned && mapfile -t perf_arguments; } <"$scratch/arguments"
    elif [[ $source == perf ]]; then
        exit "$code" # the probe has said why, and what to do
    else
        say "Falling back to forkkv's own counters."
    fi
}

# One perf per process, as one dead pid makes perf refuse its whole list. -i: children that the
# process forks during the window (the master's new workers) are not added to its counts.
attach() {
    local label=$1 control=() ctl ack
    if [[ $aligned == yes ]]; then
        mkfifo "$scratch/$label.ctl" "$scratch/$label.ack"
        exec {ctl}<>"$scratch/$label.ctl" {ack}<>"$scratch/$label.ack"
        ctl_of[$label]=$ctl ack_of[$label]=$ack
        control=(-D -1 --control "fifo:$scratch/$label.ctl,$scratch/$label.ack")
    fi
    perf stat -i -x\; -o "$out/$label.perf" "${control[@]}" "${perf_arguments[@]}" \
        -p "${pid_of[$label]}" </dev/null >/dev/null 2>"$scratch/$label.error" &
    job_of[$label]=$!
}

# Tells every perf to enable or disable, then waits until each has done so or has ended.
tell_all() {
    local label tries
    for label in "${!ctl_of[@]}"; do echo "$1" >&"${ctl_of[$label]}"; done
    for label in "${!ctl_of[@]}"; do
        tries=100
        until read -r -t 0.1 -u "${ack_of[$label]}"; do
            { ((tries--)) && alive "${job_of[$label]}"; } || break
        done
    done
}

open_window() {
    local label
    if [[ $counter == perf ]]; then
        for label in "${labels[@]}"; do attach "$label"; done
        [[ $aligned == yes ]] || sleep 1 # an older perf cannot say when it has attached
    fi
    snapshot before
    tell_all enable
    opened=$EPOCHREALTIME
    [[ -n $seconds ]] && { sleep "$seconds" & timer=$!; }
    snapshot start
    say "Counting ${labels[*]} of table $name by $counter${seconds:+ for $seconds s};" \
        "Ctrl-C ends it."
}

# perf counts a client from its exec on, with the processes that it starts itself (no -i).
start_client() {
    local label=client-$(($1 + 1)) prefix=() words
    mapfile -d '' -t words < <(lab record words "${commands[$1]}")
    [[ $counter == perf ]] &&
        prefix=(perf stat -x\; -o "$out/$label.perf" "${perf_arguments[@]}" --)
    "${prefix[@]}" "${words[@]}" </dev/null >"$out/$label.log" 2>&1 &
    job_of[$label]=$!
    clients+=("$label")
}

clients_alive() {
    local label
    for label in "${clients[@]}"; do alive "${job_of[$label]}" && return; done
    return 1
}

wait_for_end() {
    while [[ -z $stop ]]; do
        pause
        if [[ -n $timer ]]; then
            alive "$timer" || stop=seconds
        elif ((${#clients[@]})); then
            clients_alive || stop=clients
        fi
    done
}

close_window() {
    local label
    for label in "${clients[@]}"; do end_job "$label"; done
    snapshot end
    tell_all disable
    closed=$EPOCHREALTIME
    snapshot after
    for label in "${!job_of[@]}"; do end_job "$label"; done
}

# Ends a job with SIGINT, the only signal after which perf still writes its counts. Harmless twice.
end_job() {
    local label=$1 job=${job_of[$1]} tries=50
    [[ -z ${exit_of[$label]:-} ]] || return
    kill -INT -- "-$job" 2>/dev/null
    while alive "$job" && ((tries--)); do pause; done
    kill -KILL -- "-$job" 2>/dev/null
    { wait "$job"; exit_of[$label]=$?; } 2>/dev/null
}

write_run() {
    local label
    printf '%s\t%s\n' name "$name" asked_seconds "$seconds" ended_by "$stop" opened "$opened" \
        closed "$closed" aligned "$aligned" counter "$counter" source "$source" >"$scratch/facts"
    for label in "${labels[@]}" "${clients[@]}"; do
        printf '%s\t%s\t%s\n' "$label" "${pid_of[$label]:-}" "${exit_of[$label]:-}"
    done >"$scratch/processes"
    lab record run "$scratch" "$out" "${commands[@]}"
}

main() {
    local number status
    parse_options "$@"
    prepare
    find_processes
    choose_source
    open_window
    for number in "${!commands[@]}"; do start_client "$number"; done
    wait_for_end
    close_window
    write_run
    status=$?
    say "Wrote $out. Read it with: forkkv report $out"
    return "$status"
}

main "$@"
