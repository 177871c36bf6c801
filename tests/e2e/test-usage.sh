#!/bin/bash
# What is typed wrong is refused with its exit status and a word that helps; nothing is started.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

# refused CODE WORDS COMMAND…
refused()
{
    local code=$1 words=$2
    shift 2
    claim "$* is refused with $code" exits "$code" "$program" "$@"
    claim "and helps: $words" grep -q -e "$words" "$work/words.err"
}

refused 2 'replicator help' fly
refused 2 'want: SPEC --to' protect
refused 2 'where does the backup listen' protect sim:web1
refused 2 'tcp:HOST:PORT' protect sim:web1 --to somewhere
refused 2 'write it like 25ms' protect sim:web1 --to tcp:127.0.0.1:1 --interval 25
refused 2 'out of range: 20ms to' protect sim:web1 --to tcp:127.0.0.1:1 --timeout 1ms
refused 2 'a quarter of --timeout' protect sim:web1 --to tcp:127.0.0.1:1 --timeout 1s --heartbeat 300ms
refused 2 'the only one is no-netbuf' protect sim:web1 --to tcp:127.0.0.1:1 --unsafe everything
refused 2 'want auto, delta, xor-rle or none' protect sim:web1 --to tcp:127.0.0.1:1 --compression zip
refused 2 'want auto, on or off' protect sim:web1 --to tcp:127.0.0.1:1 --lz4 maybe
refused 2 'write it like' protect sim:web1 --to tcp:127.0.0.1:1 --netbuf-limit automatic
refused 2 'out of range: 1M to' protect sim:web1 --to tcp:127.0.0.1:1 --netbuf-limit 4K
refused 2 'only with nic=tap:NAME' protect sim:web1 --to tcp:127.0.0.1:1 --vif eth0 --run-dir "$work/vif"
refused 2 'want DOMAIN:INTERFACE=MAC' receive --listen tcp:127.0.0.1:0 --announce br0=52:54:00:00:00:01
refused 2 'want MAC or MAC=ADDRESS' receive --listen tcp:127.0.0.1:0 --announce web1:br0=52:54
refused 3 'sim:NAME' protect kvm:web1 --to tcp:127.0.0.1:1
refused 5 'does not run Xen' protect web1 --to tcp:127.0.0.1:1
refused 2 'one argument too many' protect sim:web1 sim:web2 --to tcp:127.0.0.1:1
refused 2 "want: DOMAIN" estimate
refused 2 "want: DOMAIN" check
refused 3 "sim:NAME" check kvm:web1
refused 3 "sim:NAME" estimate kvm:web1
refused 5 "does not run Xen" recover web1 --run-dir "$run"
refused 2 'either --listen ADDRESS or --stdio' receive
refused 2 'manual, exec:' receive --listen tcp:127.0.0.1:0 --arbiter dice
refused 2 'wants an argument' receive --listen
refused 2 'is not an option' status --loudly
refused 2 'one of them' status --metrics --json
refused 2 'want a DOMAIN' status --exit-code
refused 2 'no domain.s name' status ../web1 --run-dir "$run"
refused 7 'replicator status' status web1 --run-dir "$run"
refused 7 'neither protected nor held' events web1 --run-dir "$run"
refused 7 'neither protected nor held' activate web1 --fenced-by me --run-dir "$run"
claim "detach of what is not there is done already" exits 0 "$program" detach web1 --run-dir "$run"
claim "a host without domains has an empty list" exits 0 "$program" status --json --run-dir "$run"
claim "in JSON, too" [ "$(cat "$work/words.out")" = '[]' ]
claim "nothing was made by asking" [ ! -e "$run" ]
claim "version is one object" exits 0 "$program" version --json
claim "that names the protocol" grep -q '"protocol":{"least":1,"most":1}' "$work/words.out"
REPLICATOR_FAILPOINT=nowhere:kill claim "an unknown failpoint is refused" exits 2 "$program" version
