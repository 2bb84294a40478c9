#!/bin/sh
# An outline of what the scaler makes virtual machines by: `backend = "command"` in provision.toml. It is called with one word, gets
# an object on standard input, and may be called again for what it has done already:
#
#   make     {"name":"egress-9","role":"egress","tree":"tree-1","parent":"relay-1","zone":"eu-west-1a","start":true}
#   destroy  {"name":"egress-9","tree":"tree-1"}
#   list     {"tree":"tree-1"}, answered by {"egress-9":{"role":"egress","running":true,"created":1790000000000,"zone":"eu-west-1a"}}
#
# 0: it is so now. 75: ask again. Anything else: somebody has to mend it. The last line of standard error says why. Within `within` seconds:
# what takes longer is begun, and is done when it is asked again.
#
# CLOUD is your provider's command; each of its calls here has its like with all of them: machines that are found by labels.
set -eu
cloud=${CLOUD:?set CLOUD to the command of your provider}
wanted=$(cat)
field() { printf %s "$wanted" | jq -er ".$1"; }

tree=$(field tree)
case $1 in
make)
    name=$(field name)
    if ! $cloud exists "$name"; then
        # The image starts the node of its label `role`, with NODE_ID and TREE_ID of the labels `node` and `tree`.
        $cloud create "$name" "zone=$(field zone)" "labels=node=$name,tree=$tree,role=$(field role)" || exit 75
    fi
    [ "$(field start)" = false ] || $cloud start "$name" || exit 75
    ;;
destroy)
    name=$(field name)
    $cloud exists "$name" || exit 0
    # The machine's own way of ending: SIGTERM to the node, which gives away its viewers first.
    $cloud stop "$name" || exit 75
    $cloud is-stopped "$name" || { echo "$name has not stopped yet" >&2; exit 75; }
    $cloud delete "$name" || exit 75
    ;;
list)
    # A line each: name role running(true|false) created(ms since 1970) zone.
    $cloud list "tree=$tree" | jq -Rn '[inputs | split(" ") | {(.[0]): {role: .[1], running: (.[2] == "true"), created: (.[3] | tonumber), zone: (.[4] // "")}}] | add // {}'
    ;;
*)
    echo "make, destroy or list, and not $1" >&2
    exit 64
    ;;
esac
