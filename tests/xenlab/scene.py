"""scene — a guest that is protected from one host to the other, what is done to it, and who has it then.

One guest goes through a whole test: whoever has it after one fault is its primary in the next. Only
where it is gone, or a claim did not hold, a new one is started."""

import service

NAME = "scene"
OTHER = {"a": "b", "b": "a"}
OPTIONS = ("--interval", "500ms", "--timeout", "5s")
# Ends what no domain needs; of what runs on this host, that is all but the domains themselves.
END = """
pids=$(busybox pidof replicator replicator-test) && kill -KILL $pids
for id in $(xl list | mawk -v keep="$0" 'NR > 2 && $1 != keep { print $2 }'); do
    xl destroy "$id"
done
replicator netbuf cleanup --drop
rm -rf /run/replicator/* /host/arbiter/*
"""
# The xl that holds a shell, by its program and its words.
SHELL_XL = """
for one in /proc/[0-9]*; do
    case $(readlink $one/exe) in */xl) ;; *) continue ;; esac
    tr '\\0' ' ' <$one/cmdline | grep -q ' restore -p ' && echo "${one##*/}"
done
"""


def is_wanted(asked, words, is_short):
    """Whether a row of a test is to be run: `asked` is nothing, "all", or words with commas between."""
    if not asked:
        return is_short
    return asked == "all" or any(one in words for one in asked.split(","))


class Scene:
    def __init__(self, test, kind="pvh"):
        self.test, self.lab, self.kind = test, test.lab, kind
        self.primary = None  # the host that has the guest, None: nobody
        self.words = ""
        self.protector = self.receiver = None
        test.hosts()
        self.lab.sh("a", "mkdir -p /host/arbiter && rm -rf /host/arbiter/*")
        self.observer = test.observe(NAME)

    @property
    def backup(self):
        return OTHER[self.primary]

    def check(self, holds, claim, why=""):
        return self.test.check(holds, f"{self.words}: {claim}", why or self.said())

    def said(self):
        return "\n# ".join(one.said() for one in (self.protector, self.receiver) if one)

    # ------------------------------------------------------------ from one fault to the next

    def begin(self, words):
        """A guest that runs, protected by nobody."""
        self.words, self.bad_before = words, self.test.bad
        self.protector = self.receiver = None
        if self.primary:
            return
        self.primary = "a"
        self.observer.of(NAME).boot = None  # another guest than the one before
        self.lab.guest("a", NAME, self.kind)
        self.observer.wait_steps(NAME, 5)

    def receive(self, **more):
        self.receiver = service.receive(self.lab, self.backup, **more)

    def protect(self, *more, **options):
        self.protector = service.protect(self.lab, self.primary, self.backup, NAME, *OPTIONS, *more, **options)

    def is_protected(self):
        """From now on something that can be lost."""
        self.protector.wait(to="protected")
        return self.check(self.protector.status is None and self.observer.wait_steps(NAME, 20, host=self.primary),
                          "the guest is protected before")

    def end(self, host):
        """`host` has the guest (None: it has ended): all else ends."""
        faults = self.observer.faults()
        self.check(not faults, "nothing lost, taken back or torn", "\n# ".join(faults))
        self.observer.of(NAME).faults.clear()
        if self.protector and self.protector.status is None and self.protector.host == host:
            self.pid("primary", host, "TERM")
            self.protector.wait_end()
        if self.test.bad != self.bad_before:
            host = None
        for one in "ab":
            if host is None:
                self.lab.thaw(one)
                self.lab.link(one, "up")
            self.lab.run(one, "sh", "-c", END, NAME if one == host else "", check=False)
        self.primary = host

    # ------------------------------------------------------------ what is done to it

    def pid(self, side, host, signal):
        """A signal to the guest's process on a host."""
        self.lab.sh(host, f"kill -{signal} $(cat /run/replicator/{side}/{NAME}.lock)")

    # ------------------------------------------------------------ what follows

    def goes_on(self, host):
        """Outside the guest is heard from `host`, and from the other one no frame any more."""
        other = OTHER[host]
        heard = self.observer.wait_steps(NAME, 20, host=host)
        self.check(heard, f"the guest goes on on {'the backup' if host == self.backup else 'the primary'}")
        before = self.observer.frames[other]
        heard = self.observer.wait_steps(NAME, 20, host=host)
        self.check(heard and self.observer.frames[other] == before, "the other host lets nothing out",
                   f"{self.observer.frames[other] - before} frames\n# {self.said()}")

    def is_protected_again(self, since):
        """By an event later than the first `since`."""
        self.protector.wait(since=since, to="protected")
        self.check(self.protector.status is None, "it is protected again")

    def is_only_on(self, host):
        """Of the guest nothing is left on the other host, not even a shell; on this one it is (None: on none)."""
        for one in "ab":
            listed = self.lab.sh(one, "xl list")
            here = [line.split()[0] for line in listed.splitlines()[2:]]
            self.check(here == ([NAME] if one == host else []),
                       f"on {one} there is {'the guest' if one == host else 'no domain'}", listed)

    def is_fenced(self):
        """The process that protects it ends because the other side has the guest, and ends its own."""
        status = self.protector.wait_end()
        self.check(status == 1 and "fenced" in (self.protector.find(event="ended") or {}).get("reason", ""),
                   "the primary ends, fenced")
