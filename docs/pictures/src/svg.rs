// SPDX-License-Identifier: MIT OR Apache-2.0

//! Draws on an SVG document: boxes, lines, arrows and text.
//!
//! Everything is written as it is drawn, without a date or the version of a tool, so that the same source gives the
//! same bytes on every machine. Only text differs: its font is the reader's. So text keeps a distance from the edges of
//! its box, and [`Svg::label`] panics if it does not fit.

/// The colours of the light theme, and those that replace them in the dark one. The background is opaque: where a page
/// has the other theme, the picture is a card that is legible on it.
const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif; font-size: 13px; \
fill: #1f2328; }
.code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 12px; }
.head { font-size: 15px; font-weight: 600; }
.area { font-size: 12px; font-weight: 600; letter-spacing: 0.08em; }
.note, .area { fill: #59636e; }
.yes-text { fill: #116329; }
.no-text { fill: #a40e26; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.user { fill: #f6f8fa; }
.kernel { fill: #eaf2fc; }
.box { fill: #ffffff; stroke: #6e7781; }
.key { fill: #fff8c5; stroke: #9a6700; stroke-width: 1.5; }
.never { fill: #e4e8ec; stroke: #6e7781; }
.empty { fill: none; stroke: #6e7781; stroke-dasharray: 4 3; }
.uncached { fill: #cfe5ff; stroke: #0969da; }
.combine { fill: #ecd8ff; stroke: #8250df; }
.read-only { fill: #c9f0d3; stroke: #1a7f37; }
.line { fill: none; stroke: #59636e; stroke-width: 1.5; }
.yes { fill: none; stroke: #1a7f37; stroke-width: 1.5; }
.no { fill: none; stroke: #cf222e; stroke-width: 1.5; }
.tip { fill: #59636e; }
.yes-tip { fill: #1a7f37; }
.no-tip { fill: #cf222e; }
.ribbon { opacity: 0.55; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.note, .area { fill: #9198a1; }
.yes-text { fill: #56d364; }
.no-text { fill: #ff7b72; }
.page { fill: #0d1117; stroke: #3d444d; }
.user { fill: #161b22; }
.kernel { fill: #121d2f; }
.box { fill: #0d1117; stroke: #8b949e; }
.key { fill: #352d10; stroke: #d29922; }
.never { fill: #2a313c; stroke: #8b949e; }
.empty { stroke: #8b949e; }
.uncached { fill: #0c2d6b; stroke: #58a6ff; }
.combine { fill: #3c1e70; stroke: #bc8cff; }
.read-only { fill: #0f3d20; stroke: #3fb950; }
.line { stroke: #9198a1; }
.yes { stroke: #3fb950; }
.no { stroke: #f85149; }
.tip { fill: #9198a1; }
.yes-tip { fill: #3fb950; }
.no-tip { fill: #f85149; }
}
";

/// Where text is relative to its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A rectangle.
#[derive(Debug, Clone, Copy)]
pub struct Rect {
    /// The left edge.
    pub x: i32,
    /// The upper edge.
    pub y: i32,
    /// The distance to the right edge.
    pub width: i32,
    /// The distance to the lower edge.
    pub height: i32,
}

impl Rect {
    /// The middle between left and right.
    pub fn center(self) -> i32 {
        self.x + self.width / 2
    }

    /// The middle between above and below.
    pub fn middle(self) -> i32 {
        self.y + self.height / 2
    }

    /// The right edge.
    pub fn right(self) -> i32 {
        self.x + self.width
    }

    /// The lower edge.
    pub fn bottom(self) -> i32 {
        self.y + self.height
    }
}

/// A picture.
#[derive(Debug)]
pub struct Svg {
    text: String,
}

impl Svg {
    /// An empty page. Screen readers read the title and the description.
    pub fn new(width: i32, height: i32, title: &str, description: &str) -> Svg {
        Self::with_style(width, height, title, description, "")
    }

    /// The same, with more classes than all pictures have.
    pub fn with_style(width: i32, height: i32, title: &str, description: &str, style: &str) -> Svg {
        let mut svg = Svg { text: String::new() };
        svg.line(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title description\">"
        ));
        svg.line(format_args!("<!-- SPDX-License-Identifier: MIT OR Apache-2.0; made by `make pictures` -->"));
        svg.line(format_args!("<title id=\"title\">{}</title>", escape(title)));
        svg.line(format_args!("<desc id=\"description\">{}</desc>", escape(description)));
        svg.line(format_args!("<style>{STYLE}{style}</style>"));
        svg.rect(Rect { x: 1, y: 1, width: width - 2, height: height - 2 }, "page");
        svg
    }

    /// The document.
    pub fn finish(mut self) -> String {
        self.text += "</svg>\n";
        self.text
    }

    /// A box.
    pub fn rect(&mut self, rect: Rect, class: &str) {
        let Rect { x, y, width, height } = rect;
        self.line(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\"/>"
        ));
    }

    /// A shape or a line, in the language of the attribute `d`.
    pub fn path(&mut self, d: &str, class: &str) {
        self.line(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// A line through these points that ends in an arrow. The classes are `{class}` and, with `-tip`, that of the tip.
    pub fn arrow(&mut self, points: &[(i32, i32)], class: &str) {
        let [.., (from_x, from_y), (x, y)] = *points else { panic!("an arrow has two points") };
        let (dx, dy) = ((x - from_x).signum(), (y - from_y).signum());
        let d: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        self.path(&format!("M{}", d.join(" L")), class);
        // Across the direction of the last part, which is horizontal or vertical.
        let (back_x, back_y) = (x - 9 * dx, y - 9 * dy);
        let tip = if class == "line" { "tip".to_owned() } else { format!("{class}-tip") };
        self.path(
            &format!("M{x},{y} L{},{} L{},{} Z", back_x + 5 * dy, back_y + 5 * dx, back_x - 5 * dy, back_y - 5 * dx),
            &tip,
        );
    }

    /// Text at a point of its base line, which may be this wide.
    ///
    /// # Panics
    ///
    /// If it is wider, by the widest of the usual fonts.
    pub fn label(&mut self, (x, y): (i32, i32), anchor: Anchor, class: &str, room: i32, text: &str) {
        let wide = width(class, text);
        assert!(wide <= room, "{text:?} takes {wide} of {room}");
        let anchor = match anchor {
            Anchor::Start => String::new(),
            other => format!(" text-anchor=\"{}\"", other.name()),
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.line(format_args!("<text x=\"{x}\" y=\"{y}\"{anchor}{class}>{}</text>", escape(text)));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text += &line.to_string();
        self.text += "\n";
    }
}

/// An estimate of the width of text: DejaVu Sans, the widest of the fonts above, takes less.
fn width(class: &str, text: &str) -> i32 {
    let of_letter = |letter: char| match letter {
        _ if class.contains("code") => 7.3,
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | '.' | ',' | ':' | ';' | '\'' | '(' | ')' | ' ' => 5.2,
        'm' | 'w' | 'M' | 'W' => 12.8,
        'A'..='Z' => 9.6,
        _ => 8.1,
    };
    let scale = if class.contains("head") { 1.25 } else { 1.0 };
    (text.chars().map(of_letter).sum::<f64>() * scale).ceil() as i32
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
