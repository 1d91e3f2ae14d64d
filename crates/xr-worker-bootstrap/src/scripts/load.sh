# What changes from minute to minute, with as few programs as can be: many hosts are asked, and often.
set -- $(df -Pk /var/lib/docker 2>/dev/null || df -Pk /); while [ $# -gt 6 ]; do shift; done
read -r load rest </proc/loadavg
while read -r key value rest; do case $key in
MemTotal:) echo "memory=$value" ;;
MemAvailable:) echo "memory_free=$value"; break ;;
esac; done </proc/meminfo
cpus=0
if read -r online </sys/devices/system/cpu/online; then
    IFS=,
    for part in $online; do cpus=$((cpus + ${part#*-} - ${part%-*} + 1)); done
fi 2>/dev/null
echo "disk_free=$4
disk_size=$2
load=$load
cpus=$cpus
clock=$(date +%s.%N)"
