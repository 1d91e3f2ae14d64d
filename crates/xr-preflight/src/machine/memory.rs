//! RAM and swap, from `/proc/meminfo`.

use crate::check::{Check, human};

const GIB: u64 = 1 << 30;
/// Below this a machine without swap is told to have some.
const SMALL: u64 = 4 * GIB;
/// The kernel keeps a part of the RAM: a "4 GB" machine shows 3.8 GiB and is still a 4 GB machine.
const TOLERANCE_PERCENT: u64 = 10;

/// What `/proc/meminfo` says, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// RAM.
    pub total: u64,
    /// RAM that programs could have without swapping.
    pub available: u64,
    /// Swap.
    pub swap: u64,
}

impl Memory {
    /// Reads the file's text; `None` when it does not say how much RAM there is.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
            kib.checked_mul(1024)
        };
        let total = field("MemTotal")?;
        Some(Self { total, available: field("MemAvailable").unwrap_or(total), swap: field("SwapTotal").unwrap_or(0) })
    }

    /// How large a swap file suits this machine: its RAM, but 1 GiB at least and 8 GiB at most; whole GiB.
    pub fn advised_swap(&self) -> u64 {
        self.total.div_ceil(GIB).clamp(1, 8) * GIB
    }
}

pub(super) fn ram(memory: &Memory, required: u64) -> Check {
    let evidence = format!("{} of RAM, {} available", human(memory.total), human(memory.available));
    if memory.total < required / 100 * (100 - TOLERANCE_PERCENT) {
        return Check::problem(
            "memory",
            format!("{evidence}; {} are needed", human(required)),
            "give the machine more RAM; swap does not replace it",
        );
    }
    Check::good("memory", evidence)
}

pub(super) fn swap(memory: &Memory) -> Check {
    if memory.swap > 0 {
        return Check::good("swap", human(memory.swap));
    }
    if memory.total >= SMALL {
        return Check::good("swap", "none, and RAM enough");
    }
    let size = memory.advised_swap() / GIB;
    Check::warning(
        "swap",
        format!("none, and only {} of RAM", human(memory.total)),
        format!(
            "fallocate -l {size}G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile && \
             echo '/swapfile none swap sw 0 0' >> /etc/fstab"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grade;

    const MEMINFO: &str =
        "MemTotal:        2014516 kB\nMemFree:  1 kB\nMemAvailable:    1500000 kB\nSwapTotal:             0 kB\n";

    #[test]
    fn meminfo_is_read_in_bytes() {
        let memory = Memory::parse(MEMINFO).unwrap();
        assert_eq!(memory, Memory { total: 2_014_516 * 1024, available: 1_500_000 * 1024, swap: 0 });
        assert_eq!(Memory::parse("nothing of use"), None);
    }

    #[test]
    fn a_machine_sold_with_four_gigabytes_counts_as_one_of_four() {
        let memory = Memory { total: 38 * GIB / 10, available: GIB, swap: 0 };
        assert_eq!(ram(&memory, 4 * GIB).grade, Grade::Good);
        assert_eq!(ram(&memory, 8 * GIB).grade, Grade::Problem);
    }

    #[test]
    fn swap_is_as_large_as_ram_between_one_and_eight_gib() {
        for (mib, expected) in [(300, 1), (1967, 2), (3900, 4), (64 * 1024, 8)] {
            let memory = Memory { total: mib << 20, available: 0, swap: 0 };
            assert_eq!(memory.advised_swap() / GIB, expected, "{mib} MiB");
        }
    }

    #[test]
    fn a_small_machine_without_swap_is_told_the_commands() {
        let check = swap(&Memory::parse(MEMINFO).unwrap());
        assert_eq!(check.grade, Grade::Warning);
        assert!(check.hint.unwrap().starts_with("fallocate -l 2G /swapfile && chmod 600 /swapfile && mkswap"));
    }

    #[test]
    fn a_machine_with_swap_or_much_ram_is_left_alone() {
        for memory in
            [Memory { total: GIB, available: 0, swap: GIB }, Memory { total: 16 * GIB, available: 0, swap: 0 }]
        {
            assert_eq!(swap(&memory).grade, Grade::Good);
        }
    }
}
