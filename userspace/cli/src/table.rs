// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables for people.

/// The lines of a table, whose columns are as wide as their widest cell. The last column is not padded.
pub fn lines<const N: usize>(rows: &[[&str; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[&str; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_as_wide_as_their_widest_cell_and_nothing_trails_the_last() {
        let rows = [["a", "b", "c"], ["long", "-", "d"], ["-", "longer", "-"]];
        assert_eq!(lines(&rows), ["a     b       c", "long  -       d", "-     longer  -"]);
        assert_eq!(lines::<2>(&[]), [""; 0]);
    }
}
