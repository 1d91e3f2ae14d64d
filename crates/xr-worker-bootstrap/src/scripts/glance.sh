set -- $(df -Pk /var/lib/docker 2>/dev/null || df -Pk /); while [ $# -gt 6 ]; do shift; done
read -r load rest </proc/loadavg
while read -r key value rest; do case $key in MemTotal:) echo "memory=$value" ;; MemAvailable:) echo "memory_free=$value" ;; esac; done </proc/meminfo
echo "disk_free=$4
disk_size=$2
load=$load
cpus=$(nproc)
clock=$(date +%s.%N)"
