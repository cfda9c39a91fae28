# Starts a unit anew and waits until it is ready; says why when it is not.
# sh -s -- UNIT SECONDS
unit=$1
limit=$2

errors() {
	journalctl --unit "$unit" --since "@$begun" --output cat --no-pager |
		grep -E 'level=(error|fatal)|[Ee]rror:|panic:' | tail -n 3
}

why() {
	echo "$unit $1" >&2
	errors >&2
	exit 1
}

begun=$(date +%s)
old=$(systemctl show --property InvocationID --value "$unit")
systemctl daemon-reload
systemctl reset-failed "$unit" 2>/dev/null
systemctl restart --no-block "$unit" || exit 1

while sleep 0.5; do
	state=$(systemctl is-active "$unit")
	new=$(systemctl show --property InvocationID --value "$unit")
	if test "$state" = active && test "$new" != "$old"; then exit 0; fi
	if test "$state" = failed; then why "has failed"; fi
	if test "$(systemctl show --property NRestarts --value "$unit")" -ge 3; then why "stops again and again"; fi
	# k3s would try with a token that is refused for ever.
	if errors | grep -qiE 'unauthorized|not authorized|different token|invalid token'; then why "is refused by the cluster"; fi
	if test "$(($(date +%s) - begun))" -ge "$limit"; then why "is not ready after $limit seconds"; fi
done
