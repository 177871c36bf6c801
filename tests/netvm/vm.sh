#!/bin/bash
# vm run -- COMMAND...   boots Debian's stock kernel under QEMU's software emulation, runs COMMAND as
#                        root in it, in the root folder of the tree, and ends as the command ended.
# vm shell               the same machine with a shell, for people.
# vm image               makes its image if that is not there yet, and says where it is.
# The tree is at /repo; whatever is written there is gone with the machine, and so is all else.
# There is no network but what the command makes. Output (stdout and stderr alike) comes as it is
# written; the kernel's own words stay in build/logs/netvm/console.log.
# Exit 77: no QEMU, or no image, with the reason. 124: NETVM_TIMEOUT seconds (900) were not enough.
# 125: the machine died before the command ended. Else the command's own status.
#   NETVM_CPUS, NETVM_MEMORY (2, 1G)   NETVM_KERNEL_ARGS   more words for the kernel
#   NETVM_TREE   another folder to be /repo
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
logs=$tree/${BUILD:-build}/logs/netvm
# oops=panic: a kernel that complained has proved nothing.
kernel_args="console=ttyS0 quiet panic=-1 oops=panic mitigations=off random.trust_cpu=on
             no_timer_check rdinit=/init ${NETVM_KERNEL_ARGS:-}"

usage()
{
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
}

qemu_args() # MODE MARK: fills `qemu`
{
    # shellcheck disable=SC2054,SC2206
    qemu=(qemu-system-x86_64 -machine q35,accel=tcg,usb=off -cpu Nehalem -smp "${NETVM_CPUS:-2}"
        -m "${NETVM_MEMORY:-1G}" -display none -vga none -nodefaults -no-user-config -no-reboot
        -kernel "$image/vmlinux" -initrd "$image/initrd"
        -append "$(echo $kernel_args) netvm_mode=$1 netvm_mark=$2"
        -virtfs "local,path=${NETVM_TREE:-$tree},mount_tag=tree,security_model=none,readonly=on,multidevs=remap"
        -device virtio-rng-pci)
}

# Ends with the status of the command, or of the machine.
follow() # MARK, the machine's output on stdin
{
    local line rc status deadline=$((SECONDS + ${NETVM_TIMEOUT:-900}))
    while :; do
        IFS= read -r -t $((deadline - SECONDS)) line
        rc=$?
        [ "$rc" -eq 0 ] || break
        case $line in
        "netvm-$1-start") ;;
        *"netvm-$1-end "*) # after what the command left of an open line
            printf '%s' "${line%"netvm-$1-end "*}"
            return "${line##* }"
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done
    [ -z "$line" ] || printf '%s\n' "$line"
    if [ "$rc" -gt 128 ]; then
        status=124
        echo "vm: not at its end after ${NETVM_TIMEOUT:-900} s; killed. The console's last words:" >&2
    else
        status=125
        echo "vm: the machine died before its command ended. The console's last words:" >&2
    fi
    # A trace's frames with a question mark are what was on the stack by chance.
    tr -d '\r' <"$work/console" | grep -v '^\[[^]]*\]  ? ' | tail -n 60 | sed 's/^/    /' >&2
    return $status
}

run()
{
    local mark pid status
    mark=$$-$RANDOM$RANDOM
    work=$(mktemp -d) && mkdir -p "$logs" && : >"$work/console" || exit 1
    { printf '%q ' "$@" && echo; } >"$work/command"
    qemu_args run "$mark"
    # shellcheck disable=SC2054
    qemu+=(-serial "file:$work/console" -chardev stdio,id=out,signal=off -serial chardev:out
        -fw_cfg "name=opt/netvm/command,file=$work/command")
    # The machine ends with this script, however that ends.
    exec {output}< <(echo "$BASHPID" && exec setpriv --pdeathsig KILL "${qemu[@]}" </dev/null 2>&1)
    IFS= read -r -u "$output" pid
    # shellcheck disable=SC2064
    trap "kill -KILL $pid 2>/dev/null; wait $pid; mv '$work/console' '$logs/console.log'; rm -rf '$work'" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    follow "$mark" <&"$output"
    status=$?
    exit $status
}

case ${1:-} in
run)
    [ "${2:-}" = -- ] && [ $# -gt 2 ] || usage
    ;;
shell | image)
    [ $# -eq 1 ] || usage
    ;;
*) usage ;;
esac
bash "$tree/tests/tools/need-packages.sh" net >&2 || exit 77 # it said what is missing
image=$(bash "$tree/tests/netvm/image.sh") || exit
case $1 in
image) echo "$image" ;;
run)
    shift 2
    run "$@"
    ;;
shell)
    qemu_args shell none
    exec "${qemu[@]}" -serial mon:stdio
    ;;
esac
