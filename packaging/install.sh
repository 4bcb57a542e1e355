#!/bin/sh
# Installs srwatchd as a service from the wheelhouse beside this script: no network is used. Run as root.
#
#   ./install.sh [--config FILE] [--no-start] [--console]
#                                               install, or upgrade: the new version goes beside the old one, then a symbolic
#                                               link is switched; if the service does not come up, the old one is back
#   /opt/srwatchd/install.sh rollback           back to the version before
#   /opt/srwatchd/install.sh remove             stop it and remove program, units and user's service; keeps /etc/srwatchd,
#                                               /var/lib/srwatchd (ledger, imported models), /srv/srwatchd, your drop-ins
#
# --config is /etc/srwatchd/srwatchd.yaml by default; where there is none, one with a folder in /srv/srwatchd is written.
# --console has the web console run from now on, at http://127.0.0.1:8470/; upgrades leave it as it is.
# Needs: Python of the version in the file "target" (the package python3 is enough), systemd 252 or newer.
set -eu
umask 022

prefix=/opt/srwatchd
config=/etc/srwatchd/srwatchd.yaml
unit=srwatchd.service
console=srwatchd-console.service
start=yes
with_console=

say() { echo "install: $*"; }
die() { echo "install: $*" >&2; exit 1; }
usage() { sed -n '2,14s/^# \{0,1\}//p' "$0"; }

# Whether there is a service manager to talk to (in a chroot or an image there is none).
booted() { [ -d /run/systemd/system ]; }

# What a link below $prefix points to, without the folder.
version_of() { if [ -L "$prefix/$1" ]; then basename "$(readlink "$prefix/$1")"; fi; }

# One atomic step: there is never a moment without a program.
point() { # point NAME VERSION
    ln -sfn "versions/$2" "$prefix/.$1.new"
    mv -fT "$prefix/.$1.new" "$prefix/$1"
}

switch_to() { # switch_to VERSION: program and units of that version
    point current "$1" &&
        ln -sfn current/bin "$prefix/.bin.new" && mv -fT "$prefix/.bin.new" "$prefix/bin" &&
        install -m 755 "$prefix/versions/$1/install.sh" "$prefix/install.sh" &&
        "$prefix/bin/srwatchd" systemd install --config "$config" $with_console
}

# Restart and see that it is ready; a start that fails on the configuration says so at once.
came_up() {
    systemctl restart "$unit" && systemctl is-active --quiet "$unit" && systemctl try-restart 'srwatchd@*.service' &&
        if [ -n "$with_console" ]; then systemctl restart "$console"; else systemctl try-restart "$console" || true; fi
}

# The interpreter that the wheels are for, by its plain name, so that an update of the system's Python is followed.
interpreter() {
    for candidate in "/usr/bin/python$python" "$(command -v "python$python" || true)" "$(command -v python3 || true)"; do
        [ -x "$candidate" ] || continue
        found=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$found" = "$python" ]; then echo "$candidate"; return; fi
    done
    die "this archive is for Python $python, and there is none here; make one with packaging/make-archive.sh --python X.Y"
}

checked() {
    [ -f "$here/SHA256SUMS" ] || die "there is no wheelhouse beside this script; unpack the archive and run its install.sh"
    (cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || die "the archive is damaged; copy it again"
    version='' python='' machine='' extra=''
    . "$here/target"
    [ "$(uname -m)" = "$machine" ] || die "this archive is for $machine, this machine is $(uname -m)"
    [ ! -e "$prefix/pyvenv.cfg" ] || die "$prefix is a virtual environment made by hand; move it away first"
}

# The new version beside whatever is there; what is unfinished is never pointed to.
unpack() { # unpack VERSION
    made=$prefix/versions/$1
    if [ -f "$made/complete" ]; then say "version $1 is there already"; return; fi
    rm -rf "$made"
    mkdir -p "$prefix/versions"
    chmod 755 "$prefix" "$prefix/versions"
    base=$(interpreter)
    say "making $made with $base"
    "$base" -m venv --without-pip "$made"
    PYTHONPATH=$(echo "$here"/wheelhouse/pip-*.whl) PIP_CONFIG_FILE=/dev/null "$made/bin/python" -m pip install --quiet \
        --disable-pip-version-check --no-cache-dir --no-index --find-links "$here/wheelhouse" "srwatchd[console${extra:+,$extra}]==$version"
    install -m 755 "$here/install.sh" "$made/install.sh"
    "$made/bin/srwatchd" models verify >/dev/null || die "the models of the new version do not verify; nothing was switched"
    sync
    touch "$made/complete"
}

first_configuration() {
    [ ! -e "$config" ] || return 0
    [ "$config" = /etc/srwatchd/srwatchd.yaml ] || die "there is no $config"
    mkdir -p /etc/srwatchd
    cat >"$config" <<'YAML'
# Every key: docs/configuration.md, or `srwatchd init DIR` for a commented example.
# After a change: `srwatchd check-config` with this file, `srwatchd systemd install --config` with this file, `systemctl restart srwatchd`.
state_dir: /var/lib/srwatchd
folders:
  - id: pictures
    inbox: /srv/srwatchd/in
    done: /srv/srwatchd/done
    error: /srv/srwatchd/error
    archive: /srv/srwatchd/archive
    model: fsrcnn_x3
YAML
    say "written: $config"
}

do_install() {
    here=$(dirname "$(readlink -f "$0")")
    checked
    new=$version-$(sha256sum <"$here/SHA256SUMS" | cut -c1-8)
    old=$(version_of current)
    unpack "$new"
    first_configuration
    "$prefix/versions/$new/bin/srwatchd" check-config "$config" || die "nothing was switched; correct the configuration first"
    switch_to "$new" || { back "$old"; die "the units of $new could not be installed"; }
    if [ "$start" = yes ] && booted && ! came_up; then
        journalctl --unit "$unit" --lines 15 --output cat --no-pager || true
        back "$old"
        die "version $new did not come up${old:+; $old is back}"
    fi
    if [ -n "$old" ] && [ "$old" != "$new" ]; then point previous "$old"; fi
    sweep
    say "version $new is installed${old:+ (before: $old)}"
}

back() { # back VERSION: what ran before, if anything did
    [ -n "$1" ] || return 0
    switch_to "$1"
    if [ "$start" = yes ] && booted; then came_up || true; fi
}

do_rollback() {
    old=$(version_of previous)
    now=$(version_of current)
    [ -n "$old" ] || die "there is no version before $now"
    switch_to "$old"
    point previous "$now"
    if [ "$start" = yes ] && booted; then came_up || die "version $old did not come up; journalctl -u srwatchd says why"; fi
    say "back at $old (was: $now)"
}

# Versions that neither link leads to.
sweep() {
    for each in "$prefix"/versions/*; do
        case $(basename "$each") in "$(version_of current)" | "$(version_of previous)") ;; *) rm -rf "$each" ;; esac
    done
}

do_remove() {
    if [ -x "$prefix/bin/srwatchd" ]; then "$prefix/bin/srwatchd" systemd remove; fi
    [ ! -e "$prefix/pyvenv.cfg" ] || die "$prefix is a virtual environment made by hand; remove it by hand"
    for each in versions current previous bin install.sh; do rm -rf "${prefix:?}/$each"; done
    rmdir "$prefix" 2>/dev/null || true
    say "removed; kept: /etc/srwatchd, /etc/systemd/system/srwatchd*.d, /var/lib/srwatchd*, /srv/srwatchd, the user srwatchd"
}

main() {
    action=install
    case ${1:-} in rollback | remove) action=$1; shift ;; esac
    while [ $# -gt 0 ]; do
        case $1 in
        --config) [ $# -gt 1 ] || die "--config needs a file"; config=$(readlink -f "$2"); shift ;;
        --no-start) start=no ;;
        --console) with_console=--console ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
        esac
        shift
    done
    [ "$(id -u)" = 0 ] || die "must be run as root"
    "do_$action"
}

# Read whole before anything is done: a rollback replaces this file while it runs.
main "$@"
exit
