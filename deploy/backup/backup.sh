#!/usr/bin/env bash
# Backup and restore of tcmpay's database, MariaDB (docs/backup.md, in English docs/en/backup.md).
#
#   backup.sh dump                      the whole database, encrypted, with its place in the binary log
#   backup.sh logs                      the binary logs that are complete, encrypted
#   backup.sh list                      what is there
#   backup.sh check [DUMP]              whether a file (all of them) is still as it was written
#   backup.sh restore DUMP|latest --identity FILE --client FILE --database NAME [--until MOMENT]
#   backup.sh drill --identity FILE     restore the newest into a private MariaDB, audit it, remove it
#
# MOMENT is in UTC: "2026-11-30 04:00:00". Settings: /etc/tcmpay/backup.conf, or the file that
# TCMPAY_BACKUP_CONF names. Exit code 0: done; 1: not, the reason is on standard error.
set -euo pipefail
umask 077
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/opt/mariadb/bin

die() { echo "backup.sh: $*" >&2; exit 1; }
say() { echo "$*" >&2; }

conf=${TCMPAY_BACKUP_CONF:-/etc/tcmpay/backup.conf}
# shellcheck disable=SC1090
[ ! -e "$conf" ] || . "$conf"
folder=${BACKUP_DIR:-/var/backups/tcmpay}
client=${BACKUP_CLIENT:-/etc/tcmpay/backup.cnf}
database=${BACKUP_DATABASE:-tcm_telemedicine}
recipients=${BACKUP_RECIPIENTS:-/etc/tcmpay/backup.recipients}
stamp=${BACKUP_STAMP_FILE:-/var/lib/tcmpay-backup/stamp.json}
keep_days=${BACKUP_KEEP_DAYS:-35}
program=${BACKUP_PROGRAM:-/srv/tcmpay/current}
work=${BACKUP_WORK_DIR:-/var/tmp}

need() {
    local one
    for one; do command -v "$one" >/dev/null || die "$one is not installed (apt-get install $one)"; done
}
now() { date -u +%Y-%m-%dT%H:%M:%S+00:00; }
sql() { mariadb --defaults-extra-file="$client" --batch --skip-column-names --execute "$1"; }

# --- what must not lie beside the dumps -----------------------------------------------------------

# Whoever takes the folder away has ciphertext alone, of the dumps and of the secrets in them.
keys_are_apart() {
    local name found place
    for name in CONFIG_ENCRYPTION_KEYS AUDIT_CHAIN_KEYS; do
        [ -z "${!name:-}" ] || die "$name is in this environment: keys are kept apart from dumps"
        place=${name}_FILE
        ! lies_in_folder "${!place:-}" || die "$place lies in $folder: keep keys apart from dumps"
    done
    ! lies_in_folder "${identity:-}" || die "the identity lies in $folder: keep it apart from dumps"
    found=$(grep -rlaE 'AGE-SECRET-KEY-1|(CONFIG_ENCRYPTION_KEYS|AUDIT_CHAIN_KEYS)[=:]' \
        --exclude='*.age' "$folder" 2>/dev/null || true)
    found+=$(find "$folder" \( -name '*CONFIG_ENCRYPTION_KEYS*' -o -name '*AUDIT_CHAIN_KEYS*' \
        -o -name '.env' -o -name '*.env' \) 2>/dev/null || true)
    [ -z "$found" ] || die "keys lie beside the dumps, take them away: $found"
}
lies_in_folder() { [ -n "$1" ] && [[ $(realpath -m "$1")/ == $(realpath -m "$folder")/* ]]; }

# --- writing --------------------------------------------------------------------------------------

# sealed FILE: standard input compressed and encrypted into FILE.part. Whether it came whole, only
# the end of the whole pipe tells; then `kept FILE`.
sealed() {
    zstd --quiet -3 --threads=0 | age --encrypt --recipients-file "$recipients" --output "$1.part"
}
kept() {
    # The checksum first: a file under its own name is one that was finished.
    sync "$1.part"
    (cd "$(dirname "$1")" && sha256sum "$(basename "$1").part" | sed 's/\.part$//') >"$1.sha256"
    mv "$1.part" "$1"
}
opened() { age --decrypt --identity "$identity" "$1" | zstd --quiet --decompress; }
as_written() { (cd "$(dirname "$1")" && sha256sum --quiet --check "$(basename "$1").sha256"); }

# mark NAME: now is when the newest dump (logs, drill) was done; the stamp tells all of them.
mark() {
    local name text=""
    # Readable for and replaced by whoever comes next: root drills what the service user dumps.
    now >"$folder/.$1_at.part"
    chmod 644 "$folder/.$1_at.part"
    mv -f "$folder/.$1_at.part" "$folder/.$1_at"
    for name in dumped logs verified; do
        [ -e "$folder/.${name}_at" ] || continue
        text+="${text:+, }\"${name}_at\": \"$(cat "$folder/.${name}_at")\""
    done
    [ -d "$(dirname "$stamp")" ] || install -d -m 755 "$(dirname "$stamp")"
    printf '{%s}\n' "$text" >"$stamp.part"
    chmod 644 "$stamp.part"
    mv "$stamp.part" "$stamp"
}

# Those that were finished: a dump's facts are written last.
dumps() {
    local one
    find "$folder" -maxdepth 1 -name '*.sql.zst.age' | sort | while read -r one; do
        [ ! -e "${one%.sql.zst.age}.facts" ] || echo "$one"
    done
}
remote=(--defaults-extra-file="$client" --read-from-remote-server)
# made OPTION... LOG: when the server began that binary log. Names come again after RESET MASTER.
made() { TZ=UTC mariadb-binlog "$@" --stop-position=5 2>/dev/null | sed -n '/Start: binlog/s/^#\(.*\) server id.*/\1/p'; }

dump() {
    need mariadb-dump zstd age
    [ -s "$recipients" ] || die "$recipients: no recipient (age-keygen, docs/backup.md)"
    install -d -m 700 "$folder"
    keys_are_apart
    local started file coordinates head tail log_made=""
    started=$(sql "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%s+00:00')")
    file=$folder/$database-${started//[-:]/}
    file=${file%+0000}Z
    head=$(mktemp -d "$folder/.head.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$head' '$file.sql.zst.age.part'" EXIT
    mkfifo "$head/pipe"
    tail --bytes=200 <"$head/pipe" >"$head/end" &
    tail=$!
    local position=()
    [ "$(sql 'SELECT @@log_bin')" = 0 ] || position=(--master-data=2)
    mariadb-dump --defaults-extra-file="$client" --single-transaction --quick --hex-blob \
        --routines --triggers --events --default-character-set=utf8mb4 "${position[@]}" "$database" |
        { head -c 65536 | tee "$head/head"; cat; } | tee "$head/pipe" | sealed "$file.sql.zst.age" ||
        die "the dump broke off: nothing of it is kept"
    wait "$tail"
    grep -q '^-- Dump completed' "$head/end" || die "the dump has no end: nothing of it is kept"
    coordinates=$(sed -n "s/^-- CHANGE MASTER TO MASTER_LOG_FILE='\([^']*\)', MASTER_LOG_POS=\([0-9]*\);/\1 \2/p" "$head/head")
    [ ${#position[@]} = 0 ] || [ -n "$coordinates" ] || die "the dump names no place in the binary log"
    [ -z "$coordinates" ] || log_made=$(made "${remote[@]}" "${coordinates% *}")
    kept "$file.sql.zst.age"
    cat >"$file.facts.part" <<FACTS
started=$started
database=$database
server=$(sql 'SELECT VERSION()')
log_folder=$(sql 'SELECT @@server_id')
log_file=${coordinates% *}
log_position=${coordinates#* }
log_made=$log_made
FACTS
    mv "$file.facts.part" "$file.facts"
    mark dumped
    rotate
    say "$file.sql.zst.age ($(stat -c %s "$file.sql.zst.age") bytes)"
}

logs() {
    need mariadb-binlog zstd age
    [ "$(sql 'SELECT @@log_bin')" = 1 ] || die "the server keeps no binary log (log_bin)"
    keys_are_apart
    local place name raw complete covers last=""
    place=$folder/logs/$(sql 'SELECT @@server_id')
    install -d -m 700 "$folder" "$folder/logs" "$place"
    covers=$(sql "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%s+00:00')")
    sql 'FLUSH BINARY LOGS'
    # All but the one that is being written.
    complete=$(sql 'SHOW BINARY LOGS' | cut -f1 | head -n -1)
    raw=$(mktemp -d "$folder/.raw.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$raw'" EXIT
    for name in $complete; do
        [ ! -e "$place/$name.made" ] || last=$name
    done
    [ -z "$last" ] || [ "$(made "${remote[@]}" "$last")" = "$(cat "$place/$last.made")" ] ||
        die "$last is another log than the one kept (RESET MASTER?): move $place away, dump again"
    for name in $complete; do
        [ ! -e "$place/$name.zst.age" ] || continue
        mariadb-binlog "${remote[@]}" --raw --result-file="$raw/" "$name"
        sealed "$place/$name.zst.age" <"$raw/$name"
        made "$raw/$name" >"$place/$name.made"
        kept "$place/$name.zst.age"
        rm "$raw/$name"
    done
    # Everything until then is in them.
    echo "$covers" >"$place/covers"
    mark logs
    say "$place ($(find "$place" -name '*.age' | wc -l) logs)"
}

# What is older goes, but never the newest three dumps; logs go with the dumps that need them.
rotate() {
    local old name
    for old in $(dumps | head -n -3); do
        name=${old%.sql.zst.age}
        [ -z "$(find "$old" -mtime "+$keep_days")" ] || rm -f "$old" "$old.sha256" "$name.facts"
    done
    [ ! -d "$folder/logs" ] || find "$folder/logs" -type f -mtime "+$keep_days" -delete
}

list() {
    local one
    for one in $(dumps); do
        echo "$(basename "$one")  $(stat -c %s "$one") bytes"
    done
    [ ! -d "$folder/logs" ] || find "$folder/logs" -name '*.age' -printf '%P  %s bytes\n' | sort
}

check() {
    local one
    for one in ${1:-$(find "$folder" -name '*.age')}; do
        as_written "$one" || die "$one is not as it was written"
    done
    say "as they were written"
}

# --- reading --------------------------------------------------------------------------------------

newest() { dumps | tail -n 1; }
fact() { sed -n "s/^$1=//p" "${2%.sql.zst.age}.facts"; }

# restore_into DUMP CLIENT NAME [UNTIL]: into a database that is there and empty.
restore_into() {
    local file=$1 target=$2 name=$3 until=${4:-} count place first raw log covers before="" files=()
    need mariadb zstd age
    as_written "$file" || die "$file is not as it was written"
    place=$folder/logs/$(fact log_folder "$file")
    if [ -n "$until" ]; then
        covers=$(cat "$place/covers" "$folder/.logs_at" 2>/dev/null | head -n 1 || true)
        [[ ! $(moment_of "$file" "$until") < $(fact started "$file") ]] ||
            die "$until is before the dump's own moment, $(fact started "$file"): take an older dump"
        [[ ! $(moment_of "$file" "$until") > $covers ]] ||
            die "$until is beyond the kept logs, which end at ${covers:-no moment}: run logs first"
    fi
    client=$target
    count=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$name'")
    [ "$count" = 0 ] || die "$name has $count tables: a restore goes into an empty database"
    opened "$file" | mariadb --defaults-extra-file="$target" --default-character-set=utf8mb4 \
        --init-command="SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'" "$name"
    say "restored $(basename "$file") into $name"
    [ -n "$until" ] || return 0
    need mariadb-binlog
    first=$(fact log_file "$file")
    [ -n "$first" ] || die "$(basename "$file") names no place in the binary log"
    raw=$(mktemp -d "$work/tcmlogs.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$raw'; ${stop:-:}" EXIT
    for log in $(find "$place" -name '*.zst.age' | sort); do
        local plain
        plain=$(basename "$log" .zst.age)
        [[ ! $plain < $first ]] || continue
        as_written "$log" || die "$log is not as it was written"
        opened "$log" >"$raw/$plain"
        [[ ! $(made "$raw/$plain") < $before ]] ||
            die "$plain is older than the log before it (RESET MASTER?): logs of two histories"
        before=$(made "$raw/$plain")
        files+=("$raw/$plain")
    done
    [ "$(basename "${files[0]:-none}")" = "$first" ] || die "$first is not in $place: run logs first"
    [[ -z $(fact log_made "$file") || $(fact log_made "$file") = $(made "${files[0]}") ]] ||
        die "$first is another log than the dump's (RESET MASTER?)"
    # Moments are read in this process' zone.
    TZ=UTC mariadb-binlog --disable-log-bin --start-position="$(fact log_position "$file")" \
        --stop-datetime="$until" --rewrite-db="$(fact database "$file")->$name" \
        --database="$(fact database "$file")" \
        "${files[@]}" | mariadb --defaults-extra-file="$target" --binary-mode
    say "replayed ${#files[@]} logs until $until UTC"
}

# moment_of DUMP [UNTIL]: the moment that the restored database shows.
moment_of() { if [ -n "$2" ]; then echo "${2/ /T}+00:00"; else fact started "$1"; fi; }

# audit_of DUMP [UNTIL]: the audit of DATABASE_URL.
audit_of() {
    (cd "$program" && "${BACKUP_PYTHON:-.venv/bin/python}" manage.py audit_money --strict \
        --as-of "$(moment_of "$1" "$2")")
}

# A MariaDB of our own, on a socket alone; sets url, target and stop.
private_server() {
    local home=$1 user=() owner
    need mariadbd mariadb-install-db
    owner=$(id -un)
    if [ "$owner" = root ] && getent passwd mysql >/dev/null; then owner=mysql; fi
    user=(--user="$owner")
    mkdir "$home/data"
    [ "$owner" = "$(id -un)" ] || chown "$owner" "$home" "$home/data"
    TMPDIR=$home mariadb-install-db --no-defaults --datadir="$home/data" --skip-test-db \
        --auth-root-authentication-method=normal "${user[@]}" >"$home/log" 2>&1 || die "$(tail "$home/log")"
    # Nothing of it has to survive: what a power cut would lose is made again.
    mariadbd --no-defaults --datadir="$home/data" --socket="$home/s" --skip-networking \
        --pid-file="$home/pid" --tmpdir="$home" --character-set-server=utf8mb4 \
        --collation-server=utf8mb4_unicode_ci --skip-log-bin --innodb-flush-log-at-trx-commit=0 \
        --innodb-doublewrite=0 --innodb-buffer-pool-size="${BACKUP_DRILL_MEMORY:-1G}" \
        --innodb-log-file-size=1G --max-allowed-packet=256M --performance-schema=OFF \
        "${user[@]}" >>"$home/log" 2>&1 &
    stop="kill $!; wait $! || true; rm -rf '$home'"
    # shellcheck disable=SC2064
    trap "$stop" EXIT
    printf '[client]\nsocket=%s\nuser=root\n' "$home/s" >"$home/client.cnf"
    target=$home/client.cnf
    for _try in $(seq 120); do
        mariadb --defaults-extra-file="$target" --execute "SELECT 1" >/dev/null 2>&1 && return 0
        sleep 0.5
    done
    die "the private MariaDB did not start: $(tail "$home/log")"
}

drill() {
    local file=$1 until=$2 home started=$SECONDS restored
    [ -n "$file" ] || die "there is no dump in $folder"
    home=$(mktemp -d "$work/tcmdrill.XXXXXX")
    private_server "$home"
    mariadb --defaults-extra-file="$target" --execute \
        "CREATE DATABASE drill CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
         CREATE USER tcm_drill@localhost IDENTIFIED BY 'none'; GRANT ALL ON drill.* TO tcm_drill@localhost"
    restore_into "$file" "$target" drill "$until"
    # shellcheck disable=SC2064
    trap "$stop" EXIT
    restored=$((SECONDS - started))
    set -a
    # shellcheck disable=SC1090
    [ -z "${BACKUP_AUDIT_ENV:-}" ] || . "$BACKUP_AUDIT_ENV"
    set +a
    export DATABASE_URL="mysql://tcm_drill:none@localhost/drill?unix_socket=$home/s"
    audit_of "$file" "$until" || die "the restored books are not sound: see above"
    mark verified
    say "restored in $restored s, audited in $((SECONDS - started - restored)) s: $(basename "$file")"
}

# --- what was asked for ---------------------------------------------------------------------------

what=${1:-help}
shift || true
identity="" into="" name="" until="" file=""
while [ $# -gt 0 ]; do
    case $1 in
        --identity) identity=$2; shift 2 ;;
        --client) into=$2; shift 2 ;;
        --database) name=$2; shift 2 ;;
        --until) until=$2; shift 2 ;;
        -*) die "no such option: $1" ;;
        *) file=$1; shift ;;
    esac
done
[ "$file" != latest ] || file=$(newest)
[ -z "$until" ] || [[ $until =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}\ [0-9]{2}:[0-9]{2}:[0-9]{2}$ ]] ||
    die "--until is a moment in UTC such as \"2026-11-30 04:00:00\""
reads() {
    [ -r "$identity" ] || die "--identity FILE: the age key that opens the dumps"
    ! lies_in_folder "$identity" || die "the identity lies in $folder: keep it apart from dumps"
}
case $what in
    dump) dump ;;
    logs) logs ;;
    list) list ;;
    check) check "$file" ;;
    restore)
        reads
        if [ -z "$file" ] || [ -z "$into" ] || [ -z "$name" ]; then
            die "restore DUMP --identity FILE --client FILE --database NAME"
        fi
        restore_into "$file" "$into" "$name" "$until"
        say "now: manage.py audit_money --strict --as-of $(moment_of "$file" "$until")"
        ;;
    drill) reads; drill "${file:-$(newest)}" "$until" ;;
    *) sed -n '2,/^set -e/s/^# \{0,1\}//p' "$0"; [ "$what" = help ] || exit 1 ;;
esac
