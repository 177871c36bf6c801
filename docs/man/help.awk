# help — one command's --help as roff, under a heading of the kind `heading`.
function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text ~ /^[.']/ ? "\\&" text : text
}

function fill(on) {
    if (is_filled != on)
        print on ? ".fi" : ".PP\n.nf"
    is_filled = on
}

BEGIN { is_filled = 1 }

NR == 1 {
    sub(/^usage: replicator /, "")
    name = $1
    rest = substr($0, length(name) + 2)
    if (name == "stream" && rest !~ /^TOOL/) {
        match(rest, /^[a-z]+/)
        name = name " " substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 2)
    }
    print "." heading " \"" name "\"\n.B replicator " name "\n" roff(rest) "\n.PP"
    next
}
NR == 2 { sub(/\.$/, ""); print toupper(substr($0, 1, 1)) roff(substr($0, 2)) "."; next }
/^  --help / { next }

/^  --/ {
    fill(1)
    in_options = 1
    line = substr($0, 3)
    words = match(line, /  +/) ? substr(line, RSTART + RLENGTH) : ""
    option = words ? substr(line, 1, RSTART - 1) : line
    argument = match(option, / /) ? substr(option, RSTART + 1) : ""
    if (argument)
        option = substr(option, 1, RSTART - 1)
    print ".TP\n" (argument ? ".BI " roff(option) " \" " roff(argument) "\"" : ".B " roff(option))
    if (words)
        print roff(words)
    next
}
in_options && /^                    / { sub(/^ +/, ""); print roff($0); next }
/^$/ { in_options = 0; if (!is_filled) print ""; next }
{ fill(0); print roff($0) }

END { fill(1) }
