# Holds a lock as long as lines come on stdin. $1: who holds it; $2: seconds without a
# line after which it is given up; $3: the file.
lock=$3
umask 022
exec 9>>"$lock" || exit 1
if ! flock -n 9; then
	now=$(date +%s)
	beat=$(stat -c %Y "$lock.owner" 2>/dev/null || echo "$now")
	echo "held $((now - beat))"
	head -c 2000 "$lock.owner" 2>/dev/null
	exit 0
fi
printf '%s\n' "$1" >"$lock.owner.new" && mv -f "$lock.owner.new" "$lock.owner" || exit 1
echo locked
# Only this shell holds the descriptor: what it starts must not outlive it with the lock.
while beat=$(timeout "$2" head -n 1 9>&-) && test -n "$beat"; do touch "$lock.owner" 9>&-; done
rm -f "$lock.owner" 9>&-
