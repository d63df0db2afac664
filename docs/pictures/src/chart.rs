// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a mapping costs by its size, for each that was measured: from the figures of `make bench`.

use map_protocol::{Figure, Figures};

use crate::svg::{Anchor, Rect, Svg};

/// The colours of the lines, by what is mapped. They differ for the colour-blind as well, and so do the marks.
const STYLE: &str = "
.mem { color: #c04f00; }
.twin { color: #57606a; }
.uio { color: #a8327f; }
.window { color: #0065b3; }
.raw { color: #00795a; }
.curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.dash { stroke-dasharray: 9 5; }
.dots { stroke-dasharray: 2 4; }
.leader { fill: none; stroke: currentColor; stroke-width: 1; opacity: 0.6; }
.mark { fill: currentColor; }
.own { fill: currentColor; }
.grid { fill: none; stroke: #d1d9e0; }
@media (prefers-color-scheme: dark) {
.mem { color: #ff9d5c; }
.twin { color: #b3bcc6; }
.uio { color: #f09fd3; }
.window { color: #62b8f5; }
.raw { color: #45cfa4; }
.grid { stroke: #2f363f; }
}
";

/// How a contender is drawn.
struct Look {
    /// Its name in the figures, and on its line.
    name: &'static str,
    /// The class of its colour.
    colour: &'static str,
    /// The class of its line: where lines coincide, the later one leaves gaps.
    line: &'static str,
    /// The mark at each point, around it.
    mark: &'static str,
}

const SQUARE: &str = "m-4,-4 h8 v8 h-8 Z";
const DIAMOND: &str = "m0,-5.5 l5.5,5.5 l-5.5,5.5 l-5.5,-5.5 Z";
const TRIANGLE: &str = "m0,-5.5 l5,9 h-10 Z";
const CIRCLE: &str = "m-4,0 a4,4 0 1 0 8,0 a4,4 0 1 0 -8,0 Z";
const CROSS: &str = "m-1.5,-4.5 h3 v3 h3 v3 h-3 v3 h-3 v-3 h-3 v-3 h3 Z";

/// All contenders.
const LOOKS: &[Look] = &[
    Look { name: "/dev/mem", colour: "mem", line: "", mark: SQUARE },
    Look { name: "C twin", colour: "twin", line: "", mark: DIAMOND },
    Look { name: "UIO", colour: "uio", line: "dash", mark: TRIANGLE },
    Look { name: "window, huge=never", colour: "window", line: "dots", mark: CIRCLE },
    Look { name: "raw mode, huge=never", colour: "raw", line: "dots", mark: CROSS },
    Look { name: "raw mode", colour: "raw", line: "", mark: CROSS },
    Look { name: "window", colour: "window", line: "", mark: CIRCLE },
    Look { name: "window, wc", colour: "window", line: "dash", mark: CIRCLE },
    Look { name: "window, cached", colour: "window", line: "dots", mark: CIRCLE },
];

/// The two diagrams: the title, and the kinds of work that it shows, of which it takes the first that was measured.
const DIAGRAMS: &[(&str, &[&str])] = &[
    ("mmap and munmap", &["mmap and munmap"]),
    // Of less than 2 MiB this is one load.
    ("the same, with a load in each 2 MiB", &["the same, a load each 2 MiB", "the same, one load"]),
];

/// The sizes with a tick, as powers of 2: the axis goes from the first to the last.
const SIZES: &[(f64, &str)] = &[(12.0, "4 KiB"), (18.0, "256 KiB"), (24.0, "16 MiB"), (30.0, "1 GiB")];
/// The costs with a tick, as powers of 10 from 0 on: the axis has those that the figures need.
const COSTS: &[&str] = &["1", "10", "100", "1 k", "10 k", "100 k", "1 M", "10 M", "100 M", "1 G", "10 G"];

/// The distance of the names of two lines, from base line to base line.
const LABEL: i32 = 17;

/// Draws the figures of an architecture.
pub fn draw(arch: &str, measured: &Figures) -> String {
    let diagrams: Vec<Vec<Curve>> = DIAGRAMS.iter().map(|(_, work)| curves(&measured.figures, work)).collect();
    let costs = || diagrams.iter().flatten().flat_map(|curve| &curve.points).map(|(_, cost)| cost.log10());
    let axis = (costs().fold(f64::INFINITY, f64::min).floor(), costs().fold(0.0, f64::max).ceil());
    let Figures { kernel, date, .. } = measured;
    let mut svg = Svg::with_style(
        1000,
        440,
        &format!("What a mapping costs on {arch}, by its size"),
        &description(&diagrams),
        STYLE,
    );
    svg.label((20, 32), Anchor::Start, "head", 700, &format!("Instructions for a mapping by its size, {arch}"));
    let versions = format!("Linux {kernel}, {date}; medians of five calls; both scales are logarithmic");
    svg.label((20, 53), Anchor::Start, "note", 960, &versions);
    for ((x, (title, _)), curves) in [64, 556].into_iter().zip(DIAGRAMS).zip(&diagrams) {
        diagram(&mut svg, Rect { x, y: 112, width: 250, height: 276 }, axis, title, curves);
    }
    svg.finish()
}

/// The points of a contender: bytes and instructions.
struct Curve {
    look: &'static Look,
    points: Vec<(f64, f64)>,
}

/// The curves of all contenders that have done one of these kinds of work, by the first that was measured of each size.
fn curves(figures: &[Figure], work: &[&str]) -> Vec<Curve> {
    let points = |look: &Look| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for work in work {
            for figure in figures.iter().filter(|figure| figure.contender == look.name && figure.work == *work) {
                let bytes = figure.bytes as f64;
                if points.iter().all(|(other, _)| *other != bytes) {
                    points.push((bytes, figure.cost() as f64));
                }
            }
        }
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    };
    let curves = LOOKS.iter().map(|look| Curve { look, points: points(look) });
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

/// The last points in words.
fn description(diagrams: &[Vec<Curve>]) -> String {
    let mut text =
        "Two diagrams of instructions by size, from 4 KiB to 1 GiB, with a line for each contender.".to_owned();
    for ((title, _), curves) in DIAGRAMS.iter().zip(diagrams) {
        let last = |curve: &Curve| curve.points.last().map(|(_, cost)| format!("{} {cost}", curve.look.name));
        let last: Vec<String> = curves.iter().filter_map(last).collect();
        text += &format!(" For 1 GiB, {title}: {}.", last.join("; "));
    }
    text
}

/// Draws the curves in `plot`, where the costs go from one power of 10 to another, and the axes around it.
fn diagram(svg: &mut Svg, plot: Rect, (least, most): (f64, f64), title: &str, curves: &[Curve]) {
    let scale = |value: f64, from: f64, to: f64, length: i32| ((value - from) / (to - from) * f64::from(length)) as i32;
    let column = |power: f64| plot.x + scale(power, SIZES[0].0, SIZES[SIZES.len() - 1].0, plot.width);
    let row = |power: f64| plot.bottom() - scale(power, least, most, plot.height);

    svg.label((plot.x - 44, plot.y - 32), Anchor::Start, "head", 420, title);
    svg.label((plot.x - 44, plot.y - 13), Anchor::Start, "note", 120, "instructions");
    for (power, name) in COSTS.iter().enumerate().take(most as usize + 1).skip(least as usize) {
        let y = row(power as f64);
        svg.path(&format!("M{},{y} H{}", plot.x, plot.right()), "grid");
        svg.label((plot.x - 8, y + 4), Anchor::End, "note", 50, name);
    }
    for (power, name) in SIZES {
        let x = column(*power);
        svg.path(&format!("M{x},{} V{}", plot.y, plot.bottom()), "grid");
        svg.label((x, plot.bottom() + 18), Anchor::Middle, "note", 80, name);
    }
    svg.label((plot.center(), plot.bottom() + 38), Anchor::Middle, "note", plot.width, "size of the mapping");

    let place = |(bytes, cost): &(f64, f64)| (column(bytes.log2()), row(cost.log10()));
    let ends: Vec<(i32, i32)> = curves.iter().filter_map(|curve| curve.points.last().map(place)).collect();
    let rows = spread(&ends.iter().map(|(_, y)| *y).collect::<Vec<_>>(), LABEL, (plot.y, plot.bottom()));
    for (curve, ((x, y), label)) in curves.iter().zip(ends.into_iter().zip(rows)) {
        let Look { name, colour, line, mark } = curve.look;
        let places: Vec<(i32, i32)> = curve.points.iter().map(place).collect();
        let line_to: Vec<String> = places.iter().map(|(x, y)| format!("{x},{y}")).collect();
        svg.path(&format!("M{}", line_to.join(" L")), &format!("curve {line} {colour}"));
        for (x, y) in places {
            svg.path(&format!("M{x},{y} {mark}"), &format!("mark {colour}"));
        }
        svg.path(&format!("M{},{y} L{},{label}", x + 6, plot.right() + 22), &format!("leader {colour}"));
        svg.label((plot.right() + 26, label + 4), Anchor::Start, &format!("own {colour}"), 164, name);
    }
}

/// Rows near these that are `distance` apart, in the same order, and between the limits if they have room for all.
fn spread(rows: &[i32], distance: i32, (first, last): (i32, i32)) -> Vec<i32> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|index| rows[*index]);
    // Blocks of rows that touch: how many, and the sum of where the first would like to be, by each.
    let mut blocks: Vec<(i32, i32)> = Vec::new();
    let begin = |&(count, sum): &(i32, i32)| (sum / count).min(last - (count - 1) * distance).max(first);
    for index in &order {
        let mut block = (1, rows[*index]);
        while let Some(above) = blocks.last().copied() {
            if begin(&above) + above.0 * distance <= begin(&block) {
                break;
            }
            blocks.pop();
            block = (above.0 + block.0, above.1 + block.1 - block.0 * above.0 * distance);
        }
        blocks.push(block);
    }
    let placed = blocks.iter().flat_map(|block| (0..block.0).map(|place| begin(block) + place * distance));
    let mut spread = vec![0; rows.len()];
    order.into_iter().zip(placed).for_each(|(index, row)| spread[index] = row);
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: &str, work: &str, bytes: u64, cost: u64) -> Figure {
        Figure { contender: contender.into(), work: work.into(), bytes, parts: None, costs: vec![cost] }
    }

    #[test]
    fn every_contender_has_a_look() {
        for (arch, figures) in crate::measured().unwrap() {
            let drawn = |figure: &&Figure| DIAGRAMS.iter().any(|(_, work)| work.contains(&figure.work.as_str()));
            for figure in figures.figures.iter().filter(drawn) {
                assert!(LOOKS.iter().any(|look| look.name == figure.contender), "{arch}: {}", figure.contender);
            }
        }
    }

    #[test]
    fn names_are_apart_and_near_their_lines() {
        assert_eq!(spread(&[50, 10, 90], 17, (0, 100)), [50, 10, 90]);
        assert_eq!(spread(&[50, 50, 50], 10, (0, 100)), [40, 50, 60]);
        // Those that make room come close to others.
        assert_eq!(spread(&[30, 50, 50], 20, (0, 100)), [23, 43, 63]);
        assert_eq!(spread(&[98, 99, 0], 10, (0, 100)), [90, 100, 0]);
        assert_eq!(spread(&[1, 0], 10, (0, 100)), [10, 0]);
    }

    #[test]
    fn a_size_that_was_not_measured_is_that_of_the_next_kind_of_work() {
        let figures = [
            figure("window", "one", 4096, 7),
            figure("window", "each", 8192, 8),
            figure("window", "one", 8192, 9),
            figure("window", "other", 1, 1),
            figure("raw mode", "other", 1, 1),
        ];
        let curves = curves(&figures, &["each", "one"]);
        assert_eq!(curves.len(), 1);
        assert_eq!((curves[0].look.name, &curves[0].points[..]), ("window", &[(4096.0, 7.0), (8192.0, 8.0)][..]));
    }
}
