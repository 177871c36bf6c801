#!/bin/bash
# What the network buffer stands on is in this kernel and does what is said of it, shown with tc and
# without our program: redirect of every frame to an ifb, a plug that holds and releases by epochs.
# Skips where modules are missing (a kernel that lacks them is no failure of ours).
#
#     guest0 == vif0 (redirected to ifb0, plugged) -- br0 -- out0 == wire0
set -u
n=0 bad=0
verdict() # RC NAME
{
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        bad=1
    fi
}

if [ "$(id -u)" -ne 0 ]; then
    echo "needs root: makes network interfaces"
    exit 77
fi
for module in sch_plug ifb sch_ingress cls_matchall cls_u32 act_mirred veth bridge 8021q tun; do
    if ! modprobe "$module" 2>/dev/null && [ ! -d "/sys/module/$module" ]; then
        echo "this kernel ($(uname -r)) has no module $module"
        exit 77
    fi
done
verdict 0 "every module is there"

cleanup()
{
    ip link del guest0
    ip link del out0
    ip link del br0
    ip link del ifb0
} 2>/dev/null
trap cleanup EXIT

wire_up()
{
    ip link add ifb0 type ifb && ip link add guest0 type veth peer name vif0 &&
        ip link add out0 type veth peer name wire0 && ip link add br0 type bridge || return 1
    ip link set vif0 master br0 && ip link set out0 master br0 || return 1
    for one in ifb0 guest0 vif0 out0 wire0 br0; do
        # Nobody speaks here but the test.
        echo 1 >"/proc/sys/net/ipv6/conf/$one/disable_ipv6"
        ip link set "$one" up || return 1
    done
    # The wire is there when its port forwards.
    until ip -d link show out0 | grep -q 'state forwarding' &&
        ip -d link show vif0 | grep -q 'state forwarding'; do
        :
    done
}
wire_up
verdict $? "ifb, veth and bridge are made"

tc qdisc add dev ifb0 root handle 1: plug limit 1000000 && tc qdisc change dev ifb0 root plug release_indefinite
verdict $? "a plug is the root of the ifb"
tc qdisc add dev vif0 clsact &&
    tc filter add dev vif0 ingress protocol all prio 1 matchall action mirred egress redirect dev ifb0
verdict $? "matchall redirects what the guest sends"

# Frames go by a packet socket; what is on the wire is read from another, and what is held is
# counted by the qdisc itself, so that "held" is not "not seen yet".
python3 - <<'PYTHON'
import re
import socket
import subprocess
import sys

ETH_P_ALL = 3
bad = 0
kinds = {"IPv4": b"\x08\x00", "IPv6": b"\x86\xdd", "ARP": b"\x08\x06", "VLAN": b"\x81\x00\x00\x05\x08\x00",
         "LLDP": b"\x88\xcc", "unknown": b"\x88\xb5"}


def opened(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((name, ETH_P_ALL))
    s.settimeout(30)
    return s


guest, wire = opened("guest0"), opened("wire0")


def send(number):
    kind = list(kinds.values())[number % len(kinds)]
    guest.send(b"\x02\0\0\0\0\xaa\x02\0\0\0\0\xbb" + kind + b"frame %04d" % number + b"\0" * 60)


def plug(word):
    subprocess.run(["tc", "qdisc", "change", "dev", "ifb0", "root", "plug", word], check=True)


def held():
    text = subprocess.run(["tc", "-s", "qdisc", "show", "dev", "ifb0"], stdout=subprocess.PIPE, check=True).stdout
    return int(re.search(rb"backlog \S+ (\d+)p", text).group(1))


def seen(count):
    """The numbers of the next `count` frames of ours on the wire."""
    numbers = []
    while len(numbers) < count:
        found = re.search(rb"frame (\d+)", wire.recv(2000))
        if found:
            numbers.append(int(found.group(1)))
    return numbers


def nothing():
    """No frame of ours waits at the wire."""
    wire.setblocking(False)
    try:
        while not re.search(rb"frame (\d+)", wire.recv(2000)):
            pass
        return False
    except BlockingIOError:
        return True
    finally:
        wire.settimeout(30)


def wait_held(count):
    while held() != count:
        pass


def verdict(good, name):
    global bad
    verdict.n += 1
    bad |= not good
    print("ok" if good else "not ok", verdict.n, "-", name, flush=True)


verdict.n = 4
for i in range(6):
    send(i)
verdict(seen(6) == list(range(6)), "released for good: every kind of frame passes")
plug("block")
for i in range(6, 12):
    send(i)
wait_held(6)
verdict(nothing(), "blocked: frames of " + ", ".join(kinds) + " are held")
plug("block")
for i in range(12, 15):
    send(i)
wait_held(9)
plug("release")
got = seen(6)
verdict(got == list(range(6, 12)), "one release lets out one epoch, in order")
verdict(held() == 3 and nothing(), "and nothing of the next")
plug("release_indefinite")
verdict(seen(3) == list(range(12, 15)) and held() == 0, "released for good again: all of it leaves")
sys.exit(bad)
PYTHON
[ $? -eq 0 ] && [ $bad -eq 0 ]
