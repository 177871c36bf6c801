#!/bin/bash
# alone TEST — runs a script or program in network, mount and process namespaces of its own, with
# nothing but lo and an empty /run, so that whatever it leaves behind is gone when it has ended.
set -u
if [ "${NETVM_ALONE:-}" != yes ]; then
    export NETVM_ALONE=yes
    exec unshare --net --mount --pid --fork --kill-child --mount-proc bash "$0" "$@"
fi
mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up || exit 1
case $1 in
*.sh) bash "$@" ;;
*.py) python3 "$@" ;;
*) "$@" ;;
esac
status=$? # not exec: the test is not to be process 1, to which signals mean something else
echo "# ${1##*/}: $SECONDS s"
exit $status
