// SPDX-License-Identifier: MIT OR Apache-2.0

//! The names of elements, of which an array has many.

use std::borrow::Cow;

use svd_parser::svd::DimElement;

use super::document::one_line;

/// What stands for the index in the name of an array.
const PLACEHOLDER: &str = "%s";

/// The name of an element, or the names of all elements of an array.
#[derive(Debug)]
pub(super) struct Name {
    /// What comes before the index: all of it without an array.
    before: String,
    after: String,
    array: Option<Array>,
}

#[derive(Debug)]
struct Array {
    count: u32,
    increment: u32,
    /// Whether the index stands in brackets.
    bracketed: bool,
    /// What the elements have in place of 0, 1, 2 and so on.
    labels: Option<Vec<String>>,
}

impl Name {
    /// The name that the file has, and what it says of the array.
    pub(super) fn new(text: &str, dim: Option<&DimElement>) -> Self {
        let text = &one_line(text);
        let (Some(dim), Some((before, after, bracketed))) = (dim, split(text)) else {
            return Self { before: text.into(), after: String::new(), array: None };
        };
        let labels = dim.dim_index.as_ref();
        let array = Array {
            count: dim.dim,
            increment: dim.dim_increment,
            bracketed,
            labels: labels.map(|labels| labels.iter().map(|label| one_line(label)).collect()),
        };
        Self { before: before.into(), after: after.into(), array: Some(array) }
    }

    /// Whether something derived from it would call it, or an element of the array, so. Counts what it compares.
    pub(super) fn is_called(&self, text: &str, spend: impl FnOnce(u64) -> bool) -> bool {
        match &self.array {
            None => self.before == text,
            Some(array) => is_called(&self.before, &self.after, array.count, array.labels.as_deref(), text, spend),
        }
    }

    /// How many elements there are.
    pub(super) fn count(&self) -> u32 {
        self.array.as_ref().map_or(1, |array| array.count)
    }

    /// How far the element is from the first.
    pub(super) fn distance(&self, element: u32) -> u64 {
        self.array.as_ref().map_or(0, |array| u64::from(element) * u64::from(array.increment))
    }

    /// What distinguishes the element from the others of its array.
    pub(super) fn label(&self, element: u32) -> Option<Cow<'_, str>> {
        let array = self.array.as_ref()?;
        let label = array.labels.as_ref().and_then(|labels| labels.get(element as usize));
        Some(label.map_or_else(|| element.to_string().into(), |label| label.as_str().into()))
    }

    /// The name of the element.
    pub(super) fn element(&self, element: u32) -> String {
        self.spelled(element, self.array.as_ref().is_some_and(|array| array.bracketed))
    }

    fn spelled(&self, element: u32, bracketed: bool) -> String {
        let Self { before, after, .. } = self;
        match self.label(element) {
            None => before.clone(),
            Some(label) if bracketed => format!("{before}[{label}]{after}"),
            Some(label) => format!("{before}{label}{after}"),
        }
    }

    /// The name of all of them, as for an array without an index.
    pub(super) fn stem(&self) -> Option<String> {
        self.array.is_some().then(|| format!("{}{}", self.before, self.after))
    }

    /// The element that is called so, with the index in brackets or without.
    pub(super) fn find(&self, text: &str, spelling: Spelling) -> Option<u32> {
        let Some(array) = &self.array else {
            return spelling.same(text, &self.before).then_some(0);
        };
        let start = text.get(..self.before.len()).filter(|start| spelling.same(start, &self.before))?;
        let rest = &text[start.len()..];
        let label_end = rest.len().checked_sub(self.after.len())?;
        rest.get(label_end..).filter(|end| spelling.same(end, &self.after))?;
        let label = &rest[..label_end];
        let bare = label.strip_prefix('[').and_then(|label| label.strip_suffix(']'));
        if spelling == Spelling::Exact && bare.is_some() != array.bracketed {
            return None;
        }
        let label = bare.unwrap_or(label);
        let element = match &array.labels {
            Some(labels) => labels.iter().position(|other| spelling.same(label, other))?.try_into().ok()?,
            None => label.parse().ok().filter(|element: &u32| element.to_string() == label)?,
        };
        (element < array.count).then_some(element)
    }

    /// Whether the element's name has the pattern, with the index in brackets or without.
    pub(super) fn has_pattern(&self, element: u32, pattern: &str, spelling: Spelling) -> bool {
        has_pattern(&self.element(element), pattern, spelling)
            || self
                .array
                .as_ref()
                .is_some_and(|array| has_pattern(&self.spelled(element, !array.bracketed), pattern, spelling))
    }
}

/// What comes before and after the index, and whether that is in brackets.
fn split(text: &str) -> Option<(&str, &str, bool)> {
    let (before, after) = text.split_once(PLACEHOLDER)?;
    let brackets = before.strip_suffix('[').zip(after.strip_prefix(']'));
    let (before, after) = brackets.unwrap_or((before, after));
    Some((before, after, brackets.is_some()))
}

/// Whether something derived from an array with this name would call it, or an element, so. Counts what it compares.
pub(super) fn array_is_called(array: &str, dim: &DimElement, text: &str, spend: impl FnOnce(u64) -> bool) -> bool {
    array == text
        || split(array)
            .is_some_and(|(before, after, _)| is_called(before, after, dim.dim, dim.dim_index.as_deref(), text, spend))
}

fn is_called(
    before: &str,
    after: &str,
    count: u32,
    labels: Option<&[String]>,
    text: &str,
    spend: impl FnOnce(u64) -> bool,
) -> bool {
    let Some(label) = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else { return false };
    if label.is_empty() {
        // It is the array without an index.
        return true;
    }
    let label = label.strip_prefix('[').and_then(|label| label.strip_suffix(']')).unwrap_or(label);
    match labels {
        Some(labels) => {
            spend(labels.len() as u64)
                && labels.iter().take(count as usize).any(|other| other.len() >= label.len() && other.trim() == label)
        }
        None => label.parse().is_ok_and(|element: u32| element < count && element.to_string() == label),
    }
}

/// How exactly a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As it is shown.
    Exact,
    /// With the index of an array in brackets or without.
    Brackets,
    /// Without regard to case, too.
    Caseless,
}

impl Spelling {
    pub(super) const ALL: [Self; 3] = [Self::Exact, Self::Brackets, Self::Caseless];

    fn same_char(self, c: char, other: char) -> bool {
        c == other || self == Self::Caseless && c.eq_ignore_ascii_case(&other)
    }

    fn same(self, text: &str, other: &str) -> bool {
        match self {
            Self::Exact | Self::Brackets => text == other,
            Self::Caseless => text.eq_ignore_ascii_case(other),
        }
    }
}

/// Whether the text has characters that stand for others.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether the text has the pattern in this spelling.
fn has_pattern(text: &str, pattern: &str, spelling: Spelling) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    // What follows the last `*`, and the text without what stands for it so far.
    let mut star = None;
    loop {
        let (rest, expected) = (text.clone(), pattern.next());
        match (text.next(), expected) {
            (None, None) => return true,
            (_, Some('*')) => {
                text = rest;
                star = Some((pattern.clone(), text.clone()));
            }
            (Some(c), Some(expected)) if expected == '?' || spelling.same_char(c, expected) => {}
            (None, Some(_)) => return false,
            (Some(_), _) => {
                // The last `*` stands for one character more.
                let Some((after, from)) = &mut star else { return false };
                from.next();
                (pattern, text) = (after.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        let has = |text, pattern| has_pattern(text, pattern, Spelling::Exact);
        for pattern in ["*", "UART0", "U*0", "UART?", "*A*T*", "**", "UART0*", "?*?"] {
            assert!(has("UART0", pattern), "{pattern}");
        }
        for pattern in ["", "?", "UART", "uart0", "UART0?", "*1", "*B*"] {
            assert!(!has("UART0", pattern), "{pattern}");
        }
        assert!(has("", "*") && has_pattern("UART0", "u*", Spelling::Caseless));
        // Not one attempt for each way to share the text among the stars.
        assert!(!has(&"a".repeat(1000), &("*a".repeat(500) + "b")));
    }
}
