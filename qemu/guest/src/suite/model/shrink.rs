// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shrinks a sequence that fails: delta debugging, by Zeller and Hildebrandt.

/// Leaves elements out of `failing` as long as `fails` says that the rest still fails, and `go_on` permits further
/// tries. Without the limit, no single element of the result can be left out.
pub fn shrink<T: Clone>(failing: &[T], mut fails: impl FnMut(&[T]) -> bool, mut go_on: impl FnMut() -> bool) -> Vec<T> {
    let mut rest = failing.to_vec();
    let mut parts = 2;
    while rest.len() > 1 && go_on() {
        let length = rest.len().div_ceil(parts);
        let without = |rest: &[T], start: usize| {
            let end = (start + length).min(rest.len());
            [&rest[..start], &rest[end..]].concat()
        };
        // From the end: what comes last depends on what comes before.
        let starts: Vec<_> = (0..rest.len()).step_by(length).rev().collect();
        let smaller = starts.into_iter().find_map(|start| {
            let candidate = without(&rest, start);
            (!candidate.is_empty() && go_on() && fails(&candidate)).then_some(candidate)
        });
        match smaller {
            Some(smaller) => {
                rest = smaller;
                parts = (parts - 1).max(2);
            }
            None if length == 1 => break,
            None => parts = (parts * 2).min(rest.len()),
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out() {
        let all: Vec<u32> = (0..200).collect();
        let needed = [3, 90, 91, 177];
        let mut tries = 0;
        let fails = |some: &[u32]| {
            tries += 1;
            needed.iter().all(|number| some.contains(number))
        };
        assert_eq!(shrink(&all, fails, || true), needed);
        assert!(tries < 200, "{tries}");
        assert_eq!(shrink(&all, |some| some.len() > 2, || true).len(), 3);
        assert_eq!(shrink(&[1], |_| true, || true), [1]);
    }

    #[test]
    fn the_limit_ends_it() {
        let all: Vec<u32> = (0..200).collect();
        let mut left = 5;
        let rest = shrink(
            &all,
            |some| some.contains(&7),
            || {
                left -= 1;
                left > 0
            },
        );
        assert!(rest.contains(&7) && rest.len() > 1);
    }
}
