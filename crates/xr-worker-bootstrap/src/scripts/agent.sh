# What is done to a worker's agent, in one piece: a connection that breaks in the middle stops nothing of it.
#
# NAME is the container that serves, NAME-next the one to be. A new agent has the restart policy `no` until it is confirmed,
# and the old one keeps its own: a machine that restarts in between starts the old one alone.
set -u
export LC_ALL=C
if docker version >/dev/null 2>&1; then D=docker; else D="sudo -n docker"; fi
folder=${XDG_STATE_HOME:-$HOME/.local/state}/xr
# The candidate by its id: one that comes after it may have its name, and is none of its swap's business.
next=$($D inspect -f '{{.Id}}' "$NAME-next" 2>/dev/null) || next=
# No name has an `@`: of two workers on one machine none is the beginning of the other.
answer=$folder/$NAME@${next:-none}
up() { [ "$($D inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }
there() { $D inspect -f x "$1" >/dev/null 2>&1; }
policy() { $D inspect -f '{{.HostConfig.RestartPolicy.Name}}' "$1" 2>/dev/null; }
stamp() { $D inspect -f '{{index .Config.Labels "xr.fingerprint"}}' "$1" 2>/dev/null; }
# The word of the control host and the end of its time may come at the same moment: one of them counts.
alone() {
  mkdir -p "$folder"
  exec 9>"$folder/$NAME@lock"
  flock 9
}
# In front of the candidate the old agent serves again.
back() {
  $D stop -t 10 "$next" >/dev/null 2>&1
  if there "$NAME" && [ "${WAS_UP:-yes}" = yes ]; then $D start "$NAME" >/dev/null 2>&1; fi
}
healthy() {
  left=$PATIENCE
  steady=0
  while [ "$left" -gt 0 ]; do
    seen=$($D inspect -f '{{.State.Running}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$next" 2>/dev/null) || seen=gone
    case $seen in
    "true healthy") return 0 ;;
    "true unhealthy") return 1 ;;
    "true none") steady=$((steady + 1)); [ $steady -ge 4 ] && return 0 ;;
    "true "*) ;;
    *) return 1 ;;
    esac
    sleep 1
    left=$((left - 1))
  done
  return 1
}
say() { printf '%s\n' "$1" >"$answer.$$" && mv "$answer.$$" "$answer"; }
swap() {
  if there "$NAME" && up "$NAME"; then WAS_UP=yes; $D stop -t 10 "$NAME" >/dev/null 2>&1; else WAS_UP=no; fi
  if $D start "$next" >"$answer.err" 2>&1 && healthy; then
    say up
  else
    { echo failed; tail -n 5 "$answer.err"; $D logs --tail 10 "$next" 2>&1; } >"$answer.$$"
    back
    mv "$answer.$$" "$answer"
    return
  fi
  # The word of the control host is awaited; without it the old agent serves again.
  waited=0
  while [ $waited -lt "$CONFIRM" ]; do
    [ "$(policy "$next")" = no ] || return
    sleep 2
    waited=$((waited + 2))
  done
  alone
  [ "$(policy "$next")" = no ] && back
}
# A swap that is under way already, begun before a connection broke.
busy() { ! flock -n "$answer.going" true; }
case $DO in
switch)
  command -v flock >/dev/null 2>&1 || { echo "failed
flock is missing there (package util-linux): nothing keeps two replacements of an agent apart"; exit 0; }
  mkdir -p "$folder"
  if [ -z "$next" ]; then
    # Done before, or never made.
    [ "$(stamp "$NAME")" = "$STAMP" ] && { echo up; exit 0; }
    echo "failed
the new agent is not there"; exit 0
  fi
  if ! busy; then
    find "$folder" -name "$NAME@*" -mmin +1440 -exec rm -f {} + 2>/dev/null
    rm -f "$answer"
    (
      trap '' HUP INT TERM
      exec 8>"$answer.going"
      flock 8
      swap
    ) </dev/null >/dev/null 2>&1 &
  fi
  left=$((PATIENCE + 60))
  while [ ! -s "$answer" ] && [ $left -gt 0 ]; do sleep 1; left=$((left - 1)); done
  cat "$answer" 2>/dev/null || echo "failed
no answer in time"
  ;;
verify)
  if up "$NAME-next" && [ "$(stamp "$NAME-next")" = "$STAMP" ]; then
    health=$($D inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$NAME-next")
    [ "$health" = unhealthy ] || { echo up; exit 0; }
  fi
  echo failed
  $D logs --tail 10 "$NAME-next" 2>&1
  ;;
confirm)
  alone
  if there "$NAME-next"; then
    [ "$(stamp "$NAME-next")" = "$STAMP" ] || { echo "another agent waits there"; exit 1; }
    up "$NAME-next" || { echo "the new agent does not run"; exit 1; }
    $D update --restart "$RESTART" "$NAME-next" >/dev/null || exit 1
    ! there "$NAME" || $D rm -f "$NAME" >/dev/null || exit 1
    $D rename "$NAME-next" "$NAME" || exit 1
  fi
  [ "$(stamp "$NAME")" = "$STAMP" ] && up "$NAME" && echo up
  ;;
revert)
  alone
  if there "$NAME-next"; then
    if [ "$(policy "$NAME-next")" = no ]; then
      $D rm -f "$NAME-next" >/dev/null || exit 1
    else
      # Confirmed already, and not renamed: it is the one that serves.
      ! there "$NAME" || $D rm -f "$NAME" >/dev/null || exit 1
      $D rename "$NAME-next" "$NAME" || exit 1
    fi
  fi
  if there "$NAME" && ! up "$NAME"; then $D start "$NAME" >/dev/null || exit 1; fi
  echo back
  ;;
remove)
  for one in "$NAME" "$NAME-next"; do ! there "$one" || $D rm -f "$one" >/dev/null || exit 1; done
  rm -f "$folder/$NAME@"*
  echo gone
  ;;
esac
