// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Limits for each user: log lines and mappings.

/// The maximum number of mappings of one user.
///
/// On x86 the kernel keeps a list of mappings of the same memory and searches it linearly under a
/// global spinlock. Splitting a mapping, or copying it by fork(2), does not count.
pub const MAPPINGS_PER_USER: u32 = 1024;

/// The maximum number of mappings of all users together, without those made with CAP_SYS_RESOURCE.
pub const MAPPINGS_IN_ALL: u32 = 8 * MAPPINGS_PER_USER;

/// Returns whether a user with `own` mappings may have one more, when all users together have
/// `all`.
///
/// A user gets at most half of what is left, so early users cannot starve later ones.
pub const fn may_map(own: u32, all: u32) -> bool {
    let half = MAPPINGS_IN_ALL.saturating_sub(all) / 2;
    own < MAPPINGS_PER_USER && own < half
}

/// A rate limit for each user: [`LogLimit::BURST`] lines pass in [`LogLimit::INTERVAL`] seconds,
/// and further ones are counted.
///
/// Each user has a separate budget. There is room for [`LogLimit::USERS`] users in one interval;
/// lines of further users are counted but not logged.
#[derive(Clone, Debug)]
pub struct LogLimit {
    places: [Place; Self::USERS],
    /// The lines suppressed for users without an entry.
    others: Place,
    /// When the newest interval began; `None` before the first one.
    newest: Option<u64>,
}

/// The state of one user.
#[derive(Clone, Copy, Debug)]
struct Place {
    user: u32,
    /// The start of the interval, in seconds.
    since: u64,
    /// The number of lines that passed in it; 0 if the entry is free.
    passed: u32,
    /// The number of lines that did not.
    left_out: u64,
}

impl Place {
    const FREE: Self = Self {
        user: 0,
        since: 0,
        passed: 0,
        left_out: 0,
    };

    const fn is_over(&self, now: u64) -> bool {
        self.passed == 0 || now.wrapping_sub(self.since) >= LogLimit::INTERVAL
    }
}

/// A number of lines suppressed for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The user; `None` for all users without an entry.
    pub user: Option<u32>,
    /// The number of lines, at least 1.
    pub count: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl LogLimit {
    /// The number of lines of one user that pass in an interval.
    pub const BURST: u32 = 10;
    /// The length of an interval, in seconds.
    pub const INTERVAL: u64 = 5;
    /// The number of users that are tracked at a time.
    pub const USERS: usize = 64;

    /// Creates a limit with nothing logged yet.
    pub const fn new() -> Self {
        Self {
            places: [Place::FREE; Self::USERS],
            others: Place::FREE,
            newest: None,
        }
    }

    /// Removes and returns the count of suppressed lines of the next user whose interval is over;
    /// `None` if there is no such user left.
    ///
    /// `now` is in seconds; `None` treats all intervals as over. Call it until it returns `None`
    /// before each call of [`passes()`](Self::passes), so that the counts are reported.
    pub fn take_left_out(&mut self, now: Option<u64>) -> Option<LeftOut> {
        let over = |place: &&mut Place| now.is_none_or(|now| place.is_over(now));
        for place in self.places.iter_mut().filter(over) {
            let Place { user, left_out, .. } = core::mem::replace(place, Place::FREE);
            if left_out > 0 {
                return Some(LeftOut {
                    user: Some(user),
                    count: left_out,
                });
            }
        }
        if now.is_some_and(|now| !self.others.is_over(now)) {
            return None;
        }
        match core::mem::replace(&mut self.others, Place::FREE).left_out {
            0 => None,
            count => Some(LeftOut { user: None, count }),
        }
    }

    /// Returns whether `user` has exhausted the budget of the current interval. `now` is in
    /// seconds.
    pub fn is_used_up(&self, user: u32, now: u64) -> bool {
        // Nearly always, and every mapping asks.
        let all_over = |newest| now.wrapping_sub(newest) >= Self::INTERVAL;
        if self.newest.is_none_or(all_over) {
            return false;
        }
        let mine = |place: &&Place| place.user == user && !place.is_over(now);
        let mut places = self.places.iter();
        places
            .find(mine)
            .is_some_and(|place| place.passed >= Self::BURST)
    }

    /// Counts one more line of `user` and returns whether it may be logged. `now` is in seconds.
    pub fn passes(&mut self, user: u32, now: u64) -> bool {
        let mine = |place: &&mut Place| place.user == user && !place.is_over(now);
        if let Some(place) = self.places.iter_mut().find(mine) {
            if place.passed < Self::BURST {
                place.passed = place.passed.saturating_add(1);
                return true;
            }
            place.left_out = place.left_out.saturating_add(1);
            return false;
        }
        // An entry with suppressed lines is not free until they have been reported.
        let free = |place: &&mut Place| place.is_over(now) && place.left_out == 0;
        if let Some(place) = self.places.iter_mut().find(free) {
            *place = Place {
                user,
                since: now,
                passed: 1,
                left_out: 0,
            };
            self.newest = Some(now);
            return true;
        }
        if self.others.passed == 0 {
            self.others = Place {
                since: now,
                passed: 1,
                ..Place::FREE
            };
        }
        self.others.left_out = self.others.left_out.saturating_add(1);
        false
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const BURST: u64 = LogLimit::BURST as u64;

    /// Returns how many of `count` lines of `user` pass.
    fn passed(limit: &mut LogLimit, user: u32, now: u64, count: u64) -> u64 {
        (0..count).map(|_| u64::from(limit.passes(user, now))).sum()
    }

    fn left_out(limit: &mut LogLimit, now: Option<u64>) -> Vec<(Option<u32>, u64)> {
        core::iter::from_fn(|| limit.take_left_out(now))
            .map(|left_out| (left_out.user, left_out.count))
            .collect()
    }

    #[test]
    fn a_user_who_is_silenced_silences_nobody_else() {
        let mut limit = LogLimit::new();
        assert_eq!(passed(&mut limit, 1000, 7, 30_000), BURST);
        assert_eq!(passed(&mut limit, 1001, 7, 1), 1);
        assert_eq!(passed(&mut limit, 0, 7, 3), 3);
        assert_eq!(passed(&mut limit, 1000, 11, 1), 0);
    }

    #[test]
    fn what_was_left_out_is_said_once_when_the_interval_is_over() {
        let mut limit = LogLimit::new();
        passed(&mut limit, 1000, 100, BURST + 5);
        passed(&mut limit, 1001, 102, BURST + 1);
        passed(&mut limit, 1002, 102, BURST);
        assert_eq!(left_out(&mut limit, Some(104)), []);
        assert_eq!(left_out(&mut limit, Some(105)), [(Some(1000), 5)]);
        assert_eq!(left_out(&mut limit, Some(107)), [(Some(1001), 1)]);
        assert_eq!(left_out(&mut limit, Some(1000)), []);
        // And the user may log again.
        assert_eq!(passed(&mut limit, 1000, 105, BURST + 5), BURST);
        assert_eq!(left_out(&mut limit, None), [(Some(1000), 5)]);
        assert_eq!(left_out(&mut limit, None), []);
    }

    #[test]
    fn more_users_than_there_are_places_are_counted() {
        let mut limit = LogLimit::new();
        for user in 0..LogLimit::USERS as u32 {
            assert!(limit.passes(user, 50));
        }
        assert_eq!(passed(&mut limit, 4000, 50, 3), 0);
        assert_eq!(passed(&mut limit, 4001, 54, 1), 0);
        // Otherwise each of them would cause a line.
        assert_eq!(left_out(&mut limit, Some(54)), []);
        assert_eq!(left_out(&mut limit, Some(55)), [(None, 4)]);
        assert_eq!(passed(&mut limit, 4000, 55, 1), 1);
    }

    #[test]
    fn nothing_is_forgotten_for_the_sake_of_a_newcomer() {
        let mut limit = LogLimit::new();
        for user in 0..LogLimit::USERS as u32 {
            passed(&mut limit, user, 50, BURST + 1);
        }
        // The counts have not been taken.
        assert!(!limit.passes(4000, 60));
        let said = left_out(&mut limit, Some(65));
        assert_eq!(said.len(), LogLimit::USERS + 1);
        assert!(limit.passes(4000, 60));
    }

    #[test]
    fn what_is_used_up_comes_back_after_the_interval() {
        let mut limit = LogLimit::new();
        for passed in 0..LogLimit::BURST {
            assert!(!limit.is_used_up(3, 100), "{passed}");
            assert!(limit.passes(3, 100));
        }
        assert!(limit.is_used_up(3, 104) && !limit.is_used_up(4, 104));
        assert!(!limit.is_used_up(3, 105));
    }

    #[test]
    fn one_user_has_1024_mappings_and_nobody_more_than_half_of_what_is_left() {
        assert!(may_map(0, 0) && may_map(1023, 1023));
        assert!(!may_map(1024, 1024));
        // Users arrive one after another and take as much as they can.
        let (mut all, mut users) = (0, Vec::new());
        while may_map(0, all) {
            let mut own = 0;
            while may_map(own, all) {
                own += 1;
                all += 1;
            }
            users.push(own);
        }
        assert!(
            all < MAPPINGS_IN_ALL && users.len() > 12,
            "{all}: {users:?}"
        );
        assert!(users.iter().take(6).all(|own| *own >= 512), "{users:?}");
        assert!(!may_map(0, MAPPINGS_IN_ALL) && !may_map(0, u32::MAX));
    }

    #[test]
    fn a_clock_at_its_end_is_no_harm() {
        let mut limit = LogLimit::new();
        assert_eq!(passed(&mut limit, 1, u64::MAX, BURST + 1), BURST);
        assert_eq!(passed(&mut limit, 1, 3, 1), 0);
        assert_eq!(left_out(&mut limit, Some(5)), [(Some(1), 2)]);
    }
}
