// SPDX-License-Identifier: MIT OR Apache-2.0

//! Registers by name, from CMSIS-SVD files.

mod common;

use common::FakeDevice;
use devmap::register::{ReadOnly, ReadWrite, WriteOnly};
use devmap::registers::{
    Access, AccessorError, Description, DescriptionError, Field, FindError, Hazard, Item, ModifiedWriteValues,
    Protection, ReadAction, Register, Usage,
};
use devmap::{Endian, PhysRange, Width};
use proptest::prelude::*;

const EXAMPLES: [(&str, &str); 4] = [
    ("pl011.svd", include_str!("../examples/svd/pl011.svd")),
    ("pl031.svd", include_str!("../examples/svd/pl031.svd")),
    ("pl061.svd", include_str!("../examples/svd/pl061.svd")),
    ("edu.svd", include_str!("../examples/svd/edu.svd")),
];

/// A device with this in it, which begins in line 2.
fn device(content: &str) -> String {
    format!("<device><name>D</name>\n{content}</device>\n")
}

/// A device with peripherals, the first of which begins in line 2.
fn peripherals(content: &str) -> String {
    format!("<device><name>D</name><peripherals>\n{content}</peripherals></device>\n")
}

/// A device with a peripheral `P` at 0x1000, whose registers begin in line 3.
fn registers(content: &str) -> String {
    peripherals(&format!(
        "<peripheral><name>P</name><baseAddress>0x1000</baseAddress><registers>\n{content}</registers></peripheral>"
    ))
}

/// A register at an offset.
fn at(name: &str, offset: u64, rest: &str) -> String {
    format!("<register><name>{name}</name><addressOffset>{offset:#x}</addressOffset>{rest}</register>\n")
}

/// A register `R` of a peripheral `P` at 0x1000, whose fields begin in line 5.
fn fields(content: &str) -> String {
    registers(&format!(
        "<register><name>R</name><addressOffset>0</addressOffset>\n<fields>\n{content}</fields></register>"
    ))
}

/// A field with the bits.
fn bits(name: &str, high: u32, low: u32, rest: &str) -> String {
    format!("<field><name>{name}</name><bitRange>[{high}:{low}]</bitRange>{rest}</field>\n")
}

fn described(xml: &str) -> Description {
    Description::parse("d.svd", xml).unwrap_or_else(|error| panic!("{error}"))
}

fn register<'d>(description: &'d Description, path: &str) -> Register<'d> {
    match description.find(path) {
        Ok(Item::Register(register)) => register,
        other => panic!("{path} is {other:?}"),
    }
}

fn field<'d>(description: &'d Description, path: &str) -> Field<'d> {
    match description.find(path) {
        Ok(Item::Field(field)) => field,
        other => panic!("{path} is {other:?}"),
    }
}

fn found(description: &Description, pattern: &str) -> Vec<String> {
    let items = description.search(pattern).unwrap_or_else(|error| panic!("{error}"));
    items.iter().map(|item| item.path().to_owned()).collect()
}

fn all(description: &Description, peripheral: &str) -> Vec<(String, u64)> {
    let Ok(Item::Peripheral(peripheral)) = description.find(peripheral) else { panic!() };
    let registers = peripheral.registers().map(|register| register.unwrap_or_else(|error| panic!("{error}")));
    registers.map(|register| (register.path().to_owned(), register.address())).collect()
}

/// The error of opening the file, or of what it has.
fn error(xml: &str) -> String {
    let opened = match Description::parse("d.svd", xml) {
        Ok(opened) => opened,
        Err(error) => return error.to_string(),
    };
    let errors = opened.peripherals().flat_map(|peripheral| peripheral.registers().filter_map(Result::err));
    let error = errors.map(|error| error.to_string()).next();
    error.expect("nothing is wrong")
}

#[test]
fn the_examples_keep_the_schema() {
    for (name, text) in EXAMPLES {
        Description::parse_strict(name, text).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_examples_decode() {
    let [pl011, pl031, pl061, edu] = EXAMPLES.map(|(_, text)| described(text));
    let flags = register(&pl011, "UART0.FR");
    assert_eq!((flags.reset_value(), flags.reset_mask(), flags.access()), (Some(0x90), 0xf8, Access::ReadOnly));
    let set: Vec<_> =
        flags.decode(0x98).filter(|part| part.number == 1).map(|part| part.field.name().to_owned()).collect();
    assert_eq!(set, ["BUSY", "RXFE", "TXFE"]);
    let levels = register(&pl011, "UART0.IFLS");
    let names: Vec<_> = levels.decode(0x3a).map(|part| part.value.unwrap().name()).collect();
    assert_eq!(names, ["Half", "Reserved"]);
    assert_eq!(field(&pl011, "UART0.ICR.TXIC").modified_write_values(), Some(ModifiedWriteValues::OneToClear));
    assert_eq!(register(&pl011, "UART0.ICR").decode(!0).count(), 0);
    assert_eq!(register(&pl031, "RTC.RTCICR").address(), 0x0901_001c);
    assert_eq!(register(&pl061, "GPIO.GPIODATA[255]").address(), 0x0903_03fc);
    assert_eq!(found(&pl061, "GPIO.GPIODIR.PIN?").len(), 8);
    assert_eq!(register(&pl061, "GPIO.GPIOPCellID2").address(), 0x0903_0ff8);
    assert_eq!(field(&pl061, "GPIO.GPIOIE.PIN7").encode("enabled").unwrap(), 0x80);
    let parts: Vec<_> = register(&edu, "EDU.ID").decode(0x0100_00ed).map(|part| part.number).collect();
    assert_eq!(parts, [0xed, 0, 1]);
    assert_eq!(register(&edu, "EDU.DMACMD").width(), Width::Bits64);
    assert_eq!(edu.peripherals().next().unwrap().range().unwrap(), PhysRange::new(0, 0x10_0000).unwrap());
}

#[test]
fn arrays_have_elements_by_index_and_by_name() {
    let description = described(&peripherals(
        "<peripheral><dim>4</dim><dimIncrement>0x100</dimIncrement><name>GPIO[%s]</name><baseAddress>0x1000</baseAddress>\
         <registers>\
         <register><dim>8</dim><dimIncrement>4</dimIncrement><name>DATA[%s]</name><description>Of %s</description>\
         <addressOffset>0x10</addressOffset></register>\
         <register><dim>3</dim><dimIncrement>2</dimIncrement><dimIndex>A,B, C</dimIndex><name>X%s_Y</name>\
         <addressOffset>0x40</addressOffset><size>16</size></register>\
         <register><dim>2</dim><dimIncrement>1</dimIncrement><dimIndex>3-4</dimIndex><name>Z%s</name>\
         <addressOffset>0x50</addressOffset><size>8</size></register>\
         <register><dim>2</dim><dimIncrement>1</dimIncrement><dimIndex>P-Q</dimIndex><name>W%s</name>\
         <addressOffset>0x60</addressOffset><size>8</size></register>\
         </registers></peripheral>",
    ));
    let data = register(&description, "GPIO[3].DATA[7]");
    assert_eq!((data.address(), data.offset()), (0x132c, 0x2c));
    assert_eq!(data.description().unwrap(), "Of 7");
    assert_eq!(data.peripheral().name(), "GPIO[3]");
    assert_eq!(register(&description, "gpio3.data7").path(), "GPIO[3].DATA[7]");
    for (path, canonical, address) in [
        ("GPIO[0].XB_Y", "GPIO[0].XB_Y", 0x1042),
        ("GPIO[0].X[C]_Y", "GPIO[0].XC_Y", 0x1044),
        ("GPIO[0].Z4", "GPIO[0].Z4", 0x1051),
        ("GPIO[0].Z[3]", "GPIO[0].Z3", 0x1050),
        ("GPIO[0].WQ", "GPIO[0].WQ", 0x1061),
    ] {
        let register = register(&description, path);
        assert_eq!((register.path(), register.address()), (canonical, address));
    }
    for wrong in ["GPIO[4]", "GPIO[0].DATA[8]", "GPIO[0].DATA[01]", "GPIO[0].Z0", "GPIO[0].DATA[]", "GPIO[0].DATA[+1]"]
    {
        assert!(matches!(description.find(wrong), Err(FindError::Unknown { .. })), "{wrong}");
    }
    assert_eq!(
        description.find("GPIO[0].DATA").unwrap_err().to_string(),
        "GPIO[0].DATA is an array of 8; name what is in it, such as GPIO[0].DATA[0]"
    );
    assert_eq!(description.peripherals().count(), 4);
    assert_eq!(all(&description, "GPIO2").len(), 15);
}

#[test]
fn clusters_nest_and_are_arrays() {
    let description = described(&registers(
        "<cluster><dim>3</dim><dimIncrement>0x20</dimIncrement><name>CH[%s]</name><addressOffset>0x100</addressOffset>\
         <size>16</size>\
         <register><name>CTRL</name><addressOffset>2</addressOffset></register>\
         <cluster><dim>2</dim><dimIncrement>8</dimIncrement><name>Q%s</name><addressOffset>8</addressOffset>\
         <register><name>LEN</name><addressOffset>4</addressOffset><size>32</size></register></cluster>\
         </cluster>",
    ));
    assert_eq!(register(&description, "P.CH[2].CTRL").address(), 0x1142);
    assert_eq!(register(&description, "P.CH[2].CTRL").width(), Width::Bits16);
    assert_eq!(register(&description, "P.CH1.Q[1].LEN").path(), "P.CH[1].Q1.LEN");
    assert_eq!(register(&description, "P.CH1.Q[1].LEN").address(), 0x1134);
    let paths: Vec<_> = all(&description, "P").into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths[..4], ["P.CH[0].CTRL", "P.CH[0].Q0.LEN", "P.CH[0].Q1.LEN", "P.CH[1].CTRL"]);
    assert_eq!(found(&description, "P.CH[2]"), ["P.CH[2].CTRL", "P.CH[2].Q0.LEN", "P.CH[2].Q1.LEN"]);
    assert_eq!(found(&description, "P.*.CTRL").len(), 3);
    assert_eq!(found(&description, "P.CH?.CTRL").len(), 3);
    assert_eq!(found(&description, "p.ch1.q?.len").len(), 2);
    assert_eq!(
        description.find("P.CH[0]").unwrap_err().to_string(),
        "P.CH[0] is a cluster; name what is in it, such as P.CH[0].CTRL"
    );
    let Ok(Item::Peripheral(peripheral)) = description.find("P") else { panic!() };
    assert_eq!(peripheral.range().unwrap(), PhysRange::new(0x1000, 0x158).unwrap());
}

#[test]
fn properties_are_inherited() {
    let description = described(&device(
        "<size>8</size><access>read-only</access><resetValue>0x1234</resetValue><resetMask>0xffffffff</resetMask>\
         <protection>s</protection><peripherals>\
         <peripheral><name>A</name><baseAddress>0</baseAddress><registers>\
         <register><name>R</name><addressOffset>0</addressOffset></register></registers></peripheral>\
         <peripheral><name>B</name><baseAddress>0</baseAddress><size>16</size><access>write-only</access><registers>\
         <register><name>R</name><addressOffset>0</addressOffset></register>\
         <cluster><name>C</name><addressOffset>8</addressOffset><size>64</size><access>writeOnce</access>\
         <register><name>R</name><addressOffset>0</addressOffset></register>\
         <register><name>S</name><addressOffset>8</addressOffset><size>32</size><access>read-writeOnce</access>\
         <resetMask>0xf</resetMask><protection>p</protection></register></cluster></registers></peripheral>\
         </peripherals>",
    ));
    let of = |path: &str| {
        let register = register(&description, path);
        (
            register.width().bits(),
            register.access(),
            register.reset_value(),
            register.reset_mask(),
            register.protection(),
        )
    };
    let secure = Some(Protection::Secure);
    assert_eq!(of("A.R"), (8, Access::ReadOnly, Some(0x34), 0xff, secure));
    assert_eq!(of("B.R"), (16, Access::WriteOnly, Some(0x1234), 0xffff, secure));
    assert_eq!(of("B.C.R"), (64, Access::WriteOnce, Some(0x1234), 0xffff_ffff, secure));
    assert_eq!(of("B.C.S"), (32, Access::ReadWriteOnce, Some(0x1234), 0xf, Some(Protection::Privileged)));
    let plain = described(&registers(&at("R", 0, "")));
    let register = register(&plain, "P.R");
    assert_eq!((register.width(), register.access()), (Width::Bits32, Access::ReadWrite));
    assert_eq!((register.reset_value(), register.endian()), (None, Endian::Native));
}

#[test]
fn the_byte_order_is_that_of_the_processor() {
    for (endian, expected) in [("big", Endian::Big), ("little", Endian::Little), ("selectable", Endian::Native)] {
        let register_of = at("R", 0, "");
        let description = described(&device(&format!(
            "<cpu><endian>{endian}</endian></cpu><peripherals><peripheral><name>P</name><baseAddress>0</baseAddress>\
             <registers>{register_of}</registers></peripheral></peripherals>"
        )));
        assert_eq!(register(&description, "P.R").endian(), expected);
    }
}

#[test]
fn peripherals_are_derived() {
    let description = described(&peripherals(
        "<peripheral derivedFrom='B'><name>C</name><baseAddress>0x3000</baseAddress></peripheral>\
         <peripheral derivedFrom='A'><name>B</name><baseAddress>0x2000</baseAddress><size>8</size></peripheral>\
         <peripheral><name>A</name><description> What\n it is </description><baseAddress>0x1000</baseAddress>\
         <addressBlock><offset>0x10</offset><size>0x100</size><usage>registers</usage></addressBlock>\
         <registers><register><name>R</name><addressOffset>4</addressOffset></register></registers></peripheral>\
         <peripheral derivedFrom='A'><name>D</name><baseAddress>0</baseAddress>\
         <registers><register><name>S</name><addressOffset>4</addressOffset></register></registers></peripheral>",
    ));
    let register = register(&description, "C.R");
    assert_eq!((register.address(), register.width()), (0x3004, Width::Bits8));
    let peripheral = register.peripheral();
    assert_eq!(peripheral.description().unwrap(), "What it is");
    assert_eq!(peripheral.range().unwrap(), PhysRange::new(0x3000, 0x110).unwrap());
    assert_eq!(all(&description, "D"), [("D.S".into(), 4)]);
    let reserved =
        "<addressBlock><offset>0</offset><size>0x800</size><usage>reserved</usage></addressBlock><registers>";
    let description = described(&registers(&at("R", 0, "")).replace("<registers>", reserved));
    assert_eq!(description.peripherals().next().unwrap().range().unwrap(), PhysRange::new(0x1000, 4).unwrap());
}

#[test]
fn clusters_registers_fields_and_values_are_derived() {
    let values = "<enumeratedValues><name>V</name><usage>read</usage>\
                  <enumeratedValue><name>Off</name><value>0</value></enumeratedValue></enumeratedValues>";
    let content = String::new()
        + &at(
            "A",
            0,
            &format!(
                "<description>An A</description><size>16</size><readAction>clear</readAction><fields>{}{}</fields>",
                bits("F", 3, 0, &format!("<access>read-only</access>{values}")),
                "<field derivedFrom='F'><name>G</name><bitOffset>4</bitOffset><bitWidth>2</bitWidth></field>"
            ),
        )
        + "<register derivedFrom='A'><name>B</name><addressOffset>4</addressOffset></register>\
           <register derivedFrom='P.B'><name>C</name><addressOffset>8</addressOffset><size>8</size></register>\
           <cluster><name>K</name><addressOffset>0x10</addressOffset>\
           <register derivedFrom='A'><name>R</name><addressOffset>0</addressOffset></register></cluster>\
           <cluster derivedFrom='K'><name>L</name><addressOffset>0x20</addressOffset></cluster>\
           <register derivedFrom='L.R'><name>M</name><addressOffset>0x30</addressOffset></register>"
        + &at(
            "N",
            0x40,
            &format!(
                "<fields>{}{}{}{}</fields>",
                "<field derivedFrom='P.A.F'><name>F</name><lsb>8</lsb><msb>11</msb></field>",
                bits("G", 1, 0, "<enumeratedValues derivedFrom='V'/>"),
                bits("H", 3, 2, "<enumeratedValues derivedFrom='P.A.F.V'><usage>write</usage></enumeratedValues>"),
                bits("I", 5, 4, "<enumeratedValues derivedFrom='A.F'/>")
            ),
        );
    let description = described(&registers(&content));
    for path in ["P.B", "P.C", "P.K.R", "P.L.R", "P.M"] {
        let register = register(&description, path);
        assert_eq!(register.width().bits(), if path == "P.C" { 8 } else { 16 }, "{path}");
        assert_eq!(
            (register.description().unwrap().as_ref(), register.read_action()),
            ("An A", Some(ReadAction::Clear))
        );
        let parts: Vec<_> =
            register.fields().map(|field| (field.name().to_owned(), field.high(), field.low())).collect();
        assert_eq!(parts, [("F".into(), 3, 0), ("G".into(), 5, 4)], "{path}");
        let second = field(&description, &format!("{path}.G"));
        assert_eq!((second.access(), second.values().next().unwrap().name()), (Access::ReadOnly, "Off"));
        assert_eq!(second.read_action(), Some(ReadAction::Clear));
    }
    assert_eq!(register(&description, "P.L.R").address(), 0x1020);
    assert_eq!(field(&description, "P.N.F").mask(), 0xf00);
    for path in ["P.N.F", "P.N.G", "P.N.H", "P.N.I"] {
        let usage = if path == "P.N.H" { Usage::Write } else { Usage::Read };
        assert_eq!(field(&description, path).values().next().unwrap().usage(), usage, "{path}");
    }
}

#[test]
fn an_array_can_be_derived() {
    let description = described(&registers(
        "<register><dim>2</dim><dimIncrement>4</dimIncrement><dimIndex>A,B</dimIndex><name>X%s</name>\
         <addressOffset>0</addressOffset><size>8</size></register>\
         <register derivedFrom='X%s'><name>Y%s</name><addressOffset>0x10</addressOffset></register>\
         <register derivedFrom='XA'><name>Z</name><addressOffset>0x20</addressOffset></register>",
    ));
    assert_eq!(register(&description, "P.YB").address(), 0x1014);
    assert_eq!(register(&description, "P.Z").width(), Width::Bits8);
}

#[test]
fn alternates_name_what_they_replace() {
    let content = at("A", 0, "")
        + &at("B", 0, "<alternateRegister>A</alternateRegister>")
        + &at("C", 0, "<alternateGroup>G</alternateGroup>")
        + "<cluster><name>K</name><alternateCluster>L</alternateCluster><addressOffset>0</addressOffset>"
        + &at("R", 0, "")
        + "</cluster>";
    let description = described(&registers(&content));
    let alternates = ["P.A", "P.B", "P.C", "P.K.R"].map(|path| register(&description, path).alternate());
    assert_eq!(alternates, [None, Some("A"), Some("G"), Some("L")]);
}

#[test]
fn fields_have_their_bits_in_any_notation() {
    let description = described(&fields(
        "<field><name>A</name><bitOffset>4</bitOffset><bitWidth>3</bitWidth></field>\
         <field><name>B</name><lsb>7</lsb><msb>7</msb></field>\
         <field><name>C</name><bitRange>[15:8]</bitRange></field>\
         <field><dim>4</dim><dimIncrement>2</dimIncrement><name>D%s</name><bitRange>[17:16]</bitRange></field>",
    ));
    let masks = ["A", "B", "C", "D0", "D3", "D[3]"].map(|name| field(&description, &format!("P.R.{name}")).mask());
    assert_eq!(masks, [0x70, 0x80, 0xff00, 0x3_0000, 0xc0_0000, 0xc0_0000]);
    let c = field(&description, "P.R:C");
    assert_eq!((c.get(0x1234_5678), c.max(), c.encode(0x56).unwrap()), (0x56, 0xff, 0x5600));
}

#[test]
fn values_have_names_for_reading_and_writing() {
    let value = |name: &str, value: &str| format!("<enumeratedValue><name>{name}</name>{value}</enumeratedValue>");
    let read = value("Idle", "<value>0</value>")
        + &value("Any", "<value>#1x1x</value>")
        + &value("Rest", "<isDefault>true</isDefault>");
    let write =
        value("Go", "<value>0b1</value>") + &value("go", "<value>2</value>") + &value("0x3", "<value>4</value>");
    let description = described(&fields(&bits(
        "F",
        7,
        4,
        &format!(
            "<enumeratedValues><usage>read</usage>{read}</enumeratedValues>\
             <enumeratedValues><usage>write</usage>{write}</enumeratedValues>"
        ),
    )));
    let f = field(&description, "P.R.F");
    let names = [0, 10, 11, 14, 15, 8, 1].map(|number| f.value_of(number).unwrap().name());
    assert_eq!(names, ["Idle", "Any", "Any", "Any", "Any", "Rest", "Rest"]);
    let rest = f.values().nth(2).unwrap();
    assert_eq!((rest.number(), rest.is_default(), f.values().nth(1).unwrap().any()), (None, true, 0b101));
    assert_eq!((f.encode("Go").unwrap(), f.encode("go").unwrap(), f.encode("0x3").unwrap()), (0x10, 0x20, 0x40));
    assert_eq!((f.encode("3").unwrap(), f.encode(15).unwrap()), (0x30, 0xf0));
    for (wrong, line) in [
        ("GO", "P.R.F has no value GO; give one of Go, go, 0x3, or a number up to 0xf"),
        ("Idle", "P.R.F has no value Idle; give one of Go, go, 0x3, or a number up to 0xf"),
        ("16", "P.R.F cannot hold 0x10; give a number up to 0xf"),
    ] {
        assert_eq!(f.encode(wrong).unwrap_err().to_string(), line);
    }
    let both = described(&fields(&bits(
        "F",
        1,
        0,
        &format!("<enumeratedValues>{read}</enumeratedValues>").replace("#1x1x", "1"),
    )));
    assert_eq!(
        field(&both, "P.R.F").encode("Rest").unwrap_err().to_string(),
        "P.R.F has no number for Rest, which stands for all others; give a number up to 0x3"
    );
}

#[test]
fn a_modification_disturbs_what_is_not_as_it_reads() {
    let content = bits("A", 0, 0, "")
        + &bits("B", 1, 1, "<access>write-only</access>")
        + &bits("C", 2, 2, "<modifiedWriteValues>oneToClear</modifiedWriteValues>")
        + &bits("D", 3, 3, "<access>read-only</access><readAction>clear</readAction>")
        + &bits("E", 4, 4, "<modifiedWriteValues>modify</modifiedWriteValues>")
        + &bits("F", 5, 5, "<access>read-writeOnce</access><modifiedWriteValues>zeroToSet</modifiedWriteValues>")
        + &bits("G", 6, 6, "<access>read-only</access>");
    let description = described(&fields(&content));
    let hazards = |path: &str| {
        let field = field(&description, path);
        let hazards = field.register().hazards(field.mask());
        let name = |hazard: &Hazard<'_>| hazard.field.as_ref().map(|field| field.name().to_owned()).unwrap();
        hazards.iter().map(|hazard| format!("{}: {}", name(hazard), hazard.reason)).collect::<Vec<_>>()
    };
    let expected = [
        "B: it cannot be read, so what is written back to it is not what it holds",
        "C: writing a one back clears the bit",
        "D: reading clears it",
        "F: it takes the first write alone, and this would be it",
        "F: writing a zero back sets the bit",
    ];
    assert_eq!(hazards("P.R.A"), expected);
    assert_eq!(hazards("P.R.C"), [&expected[..1], &expected[2..]].concat());
    // What the register says holds for its fields, but not for those that are not written.
    let register_of =
        at("R", 0, &format!("<modifiedWriteValues>oneToClear</modifiedWriteValues><fields>{content}</fields>"));
    let description = described(&registers(&register_of));
    let modified = |name| field(&description, &format!("P.R.{name}")).modified_write_values();
    assert_eq!((modified("A"), modified("E"), modified("G")), (Some(ModifiedWriteValues::OneToClear), None, None));
}

#[test]
fn a_modification_disturbs_the_other_bits_of_a_register_without_fields() {
    let modified = "<modifiedWriteValues>oneToClear</modifiedWriteValues>";
    let hazards = |content: &str| {
        let description = described(&registers(&at("R", 0, content)));
        let register = register(&description, "P.R");
        let hazards =
            register.hazards(1).into_iter().map(|hazard| (hazard.mask, format!("{hazard}: {}", hazard.reason)));
        assert!(register.hazards(0xffff_ffff).is_empty(), "all bits are written");
        hazards.collect::<Vec<_>>()
    };
    let cleared = (0xffff_fffe, "the bits 0xfffffffe of P.R: writing a one back clears the bit".to_owned());
    assert_eq!(hazards(modified), [cleared]);
    let once = "the bits 0xfffffffe of P.R: it takes the first write alone, and this would be it";
    assert_eq!(hazards("<access>read-writeOnce</access>"), [(0xffff_fffe, once.to_owned())]);
    assert_eq!(hazards(""), []);
    // Bits of no field are reserved where there are fields.
    assert_eq!(hazards(&format!("{modified}<fields>{}</fields>", bits("A", 0, 0, ""))), []);
}

#[test]
fn names_are_taken_exactly_then_without_case() {
    let content = at("CR", 0, "") + &at("Cr", 4, "") + &at("SR", 8, "") + &at("A", 12, "") + &at("A", 16, "");
    let description = described(&registers(&content));
    assert_eq!(register(&description, "P.Cr").address(), 0x1004);
    assert_eq!(register(&description, "p.sr").path(), "P.SR");
    for (path, line) in [
        ("P.cr", "P.cr could be P.CR or P.Cr; give one of these"),
        ("P.A", "P.A could be any of 2 with the same name; give its address"),
        ("P.SP", "P has no SP; did you mean SR?"),
        ("P.LONGNAME", "P has no LONGNAME; look at its names with a pattern such as *"),
        ("Q.CR", "d.svd has no Q; did you mean P?"),
        ("P.SR.F", "P.SR has no F; look at its names with a pattern such as *"),
        ("", " is no path: a name is empty; write PERIPHERAL.REGISTER.FIELD, with the names of clusters before the register's"),
    ] {
        assert_eq!(description.find(path).unwrap_err().to_string(), line);
    }
    for path in [".", "P.", "P:SR", "P.SR:", "P.SR:F.G", "P:SR:F", &"P".repeat(5000)] {
        assert!(matches!(description.find(path), Err(FindError::Syntax { .. })), "{path}");
        assert!(matches!(description.search(path), Err(FindError::Syntax { .. })), "{path}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "so much text takes Miri hours")]
fn patterns_find_all_that_have_them() {
    let description = described(&fields(&(bits("TXE", 0, 0, "") + &bits("RXE", 1, 1, ""))));
    assert_eq!(found(&description, "*"), ["P"]);
    assert_eq!(found(&description, "*.*"), ["P.R"]);
    assert_eq!(found(&description, "*.*.TX*"), ["P.R.TXE"]);
    assert_eq!(found(&description, "*.*:?xe"), ["P.R.TXE", "P.R.RXE"]);
    assert_eq!(found(&description, "p.r.txe"), ["P.R.TXE"]);
    for pattern in ["X*", "P.R.X*", "P.*.*.*", "*.*.*.*.*"] {
        assert!(matches!(description.search(pattern), Err(FindError::Nothing { .. })), "{pattern}");
    }
    let array = "<register><dim>900000</dim><dimIncrement>4</dimIncrement><name>R[%s]</name>\
                 <addressOffset>0</addressOffset></register>";
    let large = described(&registers(array));
    assert_eq!(register(&large, "P.R[899999]").address(), 0x1000 + 4 * 899_999);
    assert_eq!(found(&large, "P.R[89999?]").len(), 10);
    let line = large.search("P.R[1*]").unwrap_err().to_string();
    assert_eq!(line, "P.R[1*] stands for too much: more than 100000 results; give more of the names");
    let many = described(&registers(&(array.to_owned() + &array.replace("R[", "S[").replace("900000", "140000"))));
    assert!(matches!(many.search("P.X*"), Err(FindError::TooMany { limit: 1_000_000, .. })));
}

#[test]
fn what_is_described_wrongly_is_told_beside_what_is_found() {
    let odd = |name: &str| at(name, 0, "<size>33</size>");
    let array = "<dim>1000</dim><dimIncrement>4</dimIncrement>";
    let odds = odd("O%s").replace("<name>", &format!("{array}<name>"));
    let cluster = "<cluster><name>K</name><addressOffset>0</addressOffset>\n";
    let content =
        [at("A", 0, ""), odd("B"), odds, cluster.into(), at("A", 0, ""), odd("C"), "</cluster>".into()].concat();
    let description = described(&registers(&content));
    for (pattern, paths, lines) in [
        ("*.A", &["P.A"][..], &[][..]),
        ("P.*", &["P.A", "P.K.A"], &[4, 5, 8]),
        ("P.*.*", &["P.K.A"], &[4, 5, 8]),
        ("P.*.a", &["P.K.A"], &[4, 5]),
        ("p.k", &["P.K.A"], &[8]),
        // The elements of an array have one description.
        ("P.O*", &[], &[5]),
        ("P.B", &[], &[4]),
    ] {
        let found = description.search_lossy(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(found.items.iter().map(Item::path).collect::<Vec<_>>(), paths, "{pattern}");
        let line = |fault: &DescriptionError| match fault {
            DescriptionError::Content { line, .. } => *line,
            other => panic!("{pattern}: {other}"),
        };
        assert_eq!(found.faults.iter().map(line).collect::<Vec<_>>(), lines, "{pattern}");
        assert_eq!(description.search(pattern).is_ok(), lines.is_empty(), "{pattern}");
    }
    assert!(matches!(description.search_lossy("*.X"), Err(FindError::Nothing { .. })));
}

#[test]
fn a_colon_in_a_pattern_is_before_a_field() {
    let within = at("A", 0, &format!("<fields>{}</fields>", bits("A", 0, 0, "")));
    let content = format!("<cluster><name>K</name><addressOffset>0</addressOffset>{within}</cluster>{within}");
    let description = described(&registers(&content));
    assert_eq!(found(&description, "P.*.*"), ["P.K.A", "P.A.A"]);
    assert_eq!(found(&description, "P.*:*"), ["P.A.A"]);
    assert_eq!(found(&description, "P.K.*:*"), ["P.K.A.A"]);
    let nested = content
        .replace("<name>K</name>", "<name>K</name><addressOffset>0</addressOffset><cluster><name>L</name>")
        .replace("</cluster>", "</cluster></cluster>");
    let description = described(&registers(&nested));
    assert_eq!(found(&description, "P.K.*"), ["P.K.L.A"]);
    assert!(matches!(description.search("P.K:*"), Err(FindError::Nothing { .. })));
}

#[test]
fn xml_is_taken_as_it_is_written() {
    let plain = registers(&at("R", 0, ""));
    let elements = "<a b='>'>".repeat(100);
    for around in [format!("<!-- {elements} -->"), format!("<?pi {elements} ?>")] {
        assert_eq!(found(&described(&(around + &plain)), "*.*"), ["P.R"]);
    }
    let text = format!("<description><![CDATA[{elements}]]></description>");
    let description = described(&registers(&at("R", 0, &text)));
    assert_eq!(register(&description, "P.R").description().unwrap(), elements);
    assert_eq!(found(&described(&format!("\u{feff}{plain}")), "*.*"), ["P.R"]);
    let empty = "<a b='/>'/>".repeat(100);
    assert_eq!(found(&described(&plain.replace("<name>D</name>", &format!("<name>D</name>{empty}"))), "*.*"), ["P.R"]);
    assert!(error(&"<a b='/>'>".repeat(100)).contains("more than 64 elements are within each other"));
}

#[test]
fn a_register_is_had_from_a_mapping_of_its_peripheral() {
    let fake = FakeDevice::new(&[0; 0x2000]);
    let content =
        at("A", 4, "") + &at("B", 8, "<access>read-only</access>") + &at("C", 12, "<access>write-only</access>");
    let xml = registers(&content);
    let description = described(&xml);
    let [a, b, c] = ["P.A", "P.B", "P.C"].map(|path| register(&description, path));
    let range = a.peripheral().range().unwrap();
    let mapping = fake.map(range.start(), range.length()).unwrap();
    a.accessor::<u32, ReadWrite>(&mapping).unwrap().write(0x0102_0304);
    assert_eq!(mapping.read::<u32>(4).unwrap(), 0x0102_0304);
    assert_eq!(b.accessor::<u32, ReadOnly>(&mapping).unwrap().read(), 0);
    c.accessor::<u32, WriteOnly>(&mapping).unwrap().write(1);
    let line = a.accessor::<u16, ReadWrite>(&mapping).unwrap_err().to_string();
    assert_eq!(line, "P.A has 32 bits, not 16 bits; give the type of this width");
    let line = b.accessor::<u32, ReadWrite>(&mapping).unwrap_err().to_string();
    assert_eq!(line, "P.B is read-only, so it cannot be written; choose ReadOnly or WriteOnly as it is");
    assert!(matches!(c.accessor::<u32, ReadOnly>(&mapping), Err(AccessorError::Access { asked: "read", .. })));
    let short = mapping.slice(..8).unwrap();
    assert!(matches!(b.accessor::<u32, ReadOnly>(&short), Err(AccessorError::Mapping(_))));
    let big = described(&xml.replace("<name>D</name>", "<name>D</name><cpu><endian>big</endian></cpu>"));
    assert_eq!(
        register(&big, "P.A").accessor::<u32, ReadOnly>(&mapping).unwrap().read(),
        u32::from_be_bytes(0x0102_0304_u32.to_ne_bytes())
    );
}

#[test]
fn an_error_says_where_it_is() {
    let array = |dim: &str| {
        registers(&format!("\n<register>\n<name>R%s</name>{dim}<addressOffset>0</addressOffset></register>"))
    };
    let values = |value: &str| {
        fields(&bits("F", 1, 0, &format!(
        "<enumeratedValues>\n<enumeratedValue><name>V</name><value>{value}</value></enumeratedValue></enumeratedValues>")))
    };
    let table = [
        ("".into(), "1:1: it is no XML: "),
        ("<a>\n<b></c></a>".into(), "2:4: it is no XML: "),
        ("\n <svd/>".into(), "2:2: its root is <svd>, not <device>; give a CMSIS-SVD file"),
        ("<device>\n</device>".into(), "1:1: <device> has no <peripherals>; "),
        (device("<peripherals/>\n <size>x</size>"), "3:2: <size> x is wrong: "),
        (device("<cpu><endian>odd</endian></cpu><peripherals/>"), "2:6: <endian> odd is wrong: "),
        (peripherals("<peripheral><name>P</name></peripheral>"), "2:1: <peripheral> has no <baseAddress>; "),
        (
            peripherals("<peripheral><name>P</name>\n<baseAddress>0xg</baseAddress></peripheral>"),
            "3:1: <baseAddress> 0xg is wrong: ",
        ),
        (
            peripherals("<peripheral derivedFrom='Q'><name>P</name><baseAddress>0</baseAddress></peripheral>"),
            "2:1: there is no peripheral Q to derive it from; correct derivedFrom",
        ),
        (
            peripherals("<peripheral derivedFrom='P'><name>P</name><baseAddress>0</baseAddress></peripheral>"),
            "2:1: it is derived from itself, by way of P; end the loop of derivedFrom",
        ),
        (
            peripherals(
                "<peripheral><dim>3</dim><dimIncrement>0xffffffff</dimIncrement><name>P%s</name>\
            <baseAddress>0xffffffff00000000</baseAddress></peripheral>",
            ),
            "2:1: the last peripheral of P%s is beyond the address 2^64; ",
        ),
        (registers("<memory/>"), "3:1: <memory> is wrong: "),
        (
            registers("<register>\n<name>R</name></register>"),
            "3:1: <register> R is wrong: Expected a <addressOffset> tag, found none; ",
        ),
        (
            registers(&at("R", 0, "\n<access>never</access>")),
            "4:1: <access> never is wrong: unknown access variant 'never' found; ",
        ),
        (
            registers(&at("R", 0, "<size>7</size>")),
            "3:1: the register R has 7 bits; no access is so wide: give it a <size> of 8, 16, 32 or 64",
        ),
        (registers(&at("R", 0, "<size>24</size>")), "3:1: the register R has 24 bits; "),
        (registers(&at("R", 1 << 32, "")), "3:"),
        (
            registers(&at("R", 0, "")).replace("0x1000", "0xfffffffffffffffd"),
            "2:1: the peripheral ends beyond the address 2^64; ",
        ),
        (
            registers("<register derivedFrom='Q'><name>R</name><addressOffset>0</addressOffset></register>"),
            "3:1: there is no register Q to derive it from; ",
        ),
        (
            registers(
                "<register derivedFrom='S'><name>R</name><addressOffset>0</addressOffset></register>\n\
            <register derivedFrom='P.R'><name>S</name><addressOffset>0</addressOffset></register>",
            ),
            "4:1: it is derived from itself, by way of P.R; ",
        ),
        (
            registers("<cluster derivedFrom='K.K'><name>K</name><addressOffset>0</addressOffset></cluster>"),
            "3:1: there is no cluster K.K ",
        ),
        (
            registers(
                "<cluster><name>K</name><addressOffset>0</addressOffset>\n\
            <cluster derivedFrom='K'><name>L</name><addressOffset>0</addressOffset></cluster></cluster>",
            ),
            "4:1: it is derived from itself, by way of ",
        ),
        (
            array("\n<dim>1000000000</dim><dimIncrement>4</dimIncrement>"),
            "6:1: an array of 1000000000 elements is too large; ",
        ),
        (
            array("<dim>4</dim><dimIncrement>4</dimIncrement>\n<dimIndex>0-999999999</dimIndex>"),
            "6:1: the array has 4 elements, but 1000000000 indices; ",
        ),
        (
            array("<dim>3</dim><dimIncrement>4</dimIncrement><dimIndex>A,B</dimIndex>"),
            "5:59: the array has 3 elements, but 2 indices; correct <dim> or <dimIndex>",
        ),
        (array("<dim>3</dim>"), "5:17: the array has no <dimIncrement>; "),
        (fields(&bits("F", 32, 0, "")), "5:1: the field F ends at bit 32, but its register has 32 bits; "),
        (fields(&bits("F", 1, 4, "")), "5:22: the field's high bit, 1, is below its low one, 4; "),
        (
            fields("<field><name>F</name><msb>1</msb>\n<lsb>4</lsb></field>"),
            "5:22: the field's high bit, 1, is below its low one, 4; ",
        ),
        (fields(&bits("F", u32::MAX, 0, "")), "5:22: the field's high bit is 4294967295; "),
        (
            fields("<field><name>F</name><bitOffset>1</bitOffset><bitWidth>0</bitWidth></field>"),
            "5:1: the field F has no bits; ",
        ),
        (
            fields("<field derivedFrom='G'><name>F</name><bitOffset>1</bitOffset><bitWidth>1</bitWidth></field>"),
            "5:1: there is no field G ",
        ),
        (fields("<field><name>F</name></field>"), "5:1: <field> F is wrong: Bit range invalid"),
        (values("4"), "6:1: the value V does not fit in the 2 bits of its field; "),
        (values("#xxx"), "6:1: the value V does not fit in the 2 bits of its field; "),
        (values("ten"), "6:32: <value> ten is wrong: "),
        (fields(&bits("F", 1, 0, "<enumeratedValues derivedFrom='V'/>")), "5:48: there is no enumeratedValues V "),
        ("<a>".repeat(100_000), "1:193: more than 64 elements are within each other; "),
    ];
    for (xml, expected) in table {
        let (line, expected) = (error(&xml), format!("d.svd:{expected}"));
        assert!(line.starts_with(&expected), "{line}\nis not\n{expected}");
        assert!(!line.contains('\n') && line.contains("; "), "{line}");
    }
    let error = Description::parse("d.svd", b"\n \xff".as_slice()).unwrap_err().to_string();
    assert_eq!(error, "d.svd:2:2: it is no text in UTF-8; give a CMSIS-SVD file, or convert it to UTF-8");
    let error = Description::open("/nonexistent/d.svd").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /nonexistent/d.svd: No such file or directory (ENOENT); give the path of a CMSIS-SVD file"
    );
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_wrong_register_is_no_obstacle_to_others() {
    let description = described(&registers(&(at("A", 0, "<size>7</size>") + &at("B", 4, ""))));
    assert_eq!(register(&description, "P.B").address(), 0x1004);
    assert!(matches!(description.find("P.A"), Err(FindError::Description(DescriptionError::Content { line: 3, .. }))));
    let Ok(Item::Peripheral(peripheral)) = description.find("P") else { panic!() };
    assert!(peripheral.registers().map(|register| register.is_ok()).eq([false, true]));
}

#[test]
fn the_strict_form_checks_the_rules_of_the_schema_and_overlaps() {
    let (_, text) = EXAMPLES[1];
    let strictly = |text: &str| Description::parse_strict("d.svd", text).unwrap_err().to_string();
    let line = strictly(&text.replace("<name>RTCDR</name>", "<name>RTC-DR</name>"));
    assert!(line.starts_with("d.svd:32:9: <register> RTC-DR is wrong: "), "{line}");
    described(&text.replace("<name>RTCDR</name>", "<name>RTC-DR</name>"));
    let overlapping = text.replace("<addressOffset>0x004<", "<addressOffset>0x002<");
    described(&overlapping);
    let line = strictly(&overlapping);
    assert!(line.contains(": the register RTCMR at 0x2 overlaps RTCDR; "), "{line}");
    let alternate = overlapping
        .replace("<addressOffset>0x002<", "<alternateRegister>RTCDR</alternateRegister><addressOffset>0x002<");
    Description::parse_strict("d.svd", alternate).unwrap();
    let units = text.replace("<addressUnitBits>8<", "<addressUnitBits>32<");
    described(&units);
    assert!(strictly(&units).starts_with("d.svd:17:3: its addresses do not count bytes; "));
    let line = strictly(&text.replace("[7:0]", "[32:0]"));
    assert!(line.contains(": the field ID ends at bit 32, but its register has 32 bits; "), "{line}");
    assert!(strictly(&text.replace("<version>1.0</version>", "")).contains("version"));
}

#[test]
fn descriptions_and_errors_go_to_other_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Description>();
    check::<DescriptionError>();
    check::<FindError>();
    check::<AccessorError>();
}

/// Clusters, each of which has the one before twice: with this many of them, 2^`levels` registers in all.
fn doubled(levels: u32) -> String {
    let mut clusters = format!("<cluster><name>K0</name><addressOffset>0</addressOffset>{}</cluster>", at("R", 0, ""));
    for level in 1..levels {
        let before = level - 1;
        let twice = ["A", "B"].map(|name| {
            format!("<cluster derivedFrom='P.K{before}'><name>{name}</name><addressOffset>0</addressOffset></cluster>")
        });
        let twice = twice.concat();
        clusters += &format!("<cluster><name>K{level}</name><addressOffset>0</addressOffset>{twice}</cluster>");
    }
    clusters
}

#[test]
#[ignore = "without optimization it takes half a minute"]
fn many_peripherals_that_are_derived_are_an_error() {
    let others = (0..1000)
        .map(|at| format!("<peripheral derivedFrom='P'><name>P{at}</name><baseAddress>0</baseAddress></peripheral>"));
    let others = others.collect::<String>() + "</peripherals>";
    let description = described(&registers(&doubled(14)).replace("</peripherals>", &others));
    let error = description.search("*.X").unwrap_err().to_string();
    assert!(error.contains("too many elements are derived from others"), "{error}");
}

#[test]
#[cfg_attr(miri, ignore = "so much text takes Miri hours")]
fn a_hostile_file_is_an_error_at_once() {
    assert!(error(&registers(&doubled(40))).contains("too many elements are derived from others"));
    // Arrays of arrays of arrays.
    let array = |within: &str| {
        format!(
            "<cluster><dim>1000</dim><dimIncrement>4</dimIncrement><name>K[%s]</name>\
             <addressOffset>0</addressOffset>{within}</cluster>"
        )
    };
    let arrays = registers(&array(&array(&array(&at("R", 0, "")))));
    assert!(error(&arrays).contains("the peripheral has more than 1048576 registers and clusters"));
    // Many arrays, each with a range of many indices.
    let index =
        "<register><dim>1000000</dim><dimIncrement>0</dimIncrement><dimIndex>0-999999</dimIndex><name>R%s</name>\
                 <addressOffset>0</addressOffset></register>\n";
    let line = error(&registers(&index.repeat(1000)));
    assert!(line.starts_with("d.svd:4:") && line.contains("the arrays have more than 1048576 indices"), "{line}");
    // A long chain.
    let chain: String = (0..5000)
        .map(|at| {
            format!("<peripheral derivedFrom='P{}'><name>P{at}</name><baseAddress>0</baseAddress></peripheral>", at + 1)
        })
        .collect();
    let description = described(&peripherals(&chain));
    assert!(description.find("P0.R").unwrap_err().to_string().contains("there is no peripheral P5000 "));
    assert_eq!(description.find("P0").unwrap().description(), None);
    // Many arrays with the indices of a large one.
    let large =
        "<peripheral><dim>100000</dim><dimIncrement>4</dimIncrement><dimIndex>0-99999</dimIndex><name>P%s</name>\
                 <baseAddress>0</baseAddress></peripheral>";
    let others = "<peripheral derivedFrom='P%s'><name>Q%s</name><baseAddress>0</baseAddress></peripheral>".repeat(1000);
    assert!(error(&peripherals(&(large.to_owned() + &others))).contains("the arrays have more than 1048576 indices"));
    // A long name, which each name of a path would be compared with.
    assert!(error(&registers(&at(&"N".repeat(5000), 0, ""))).contains("the name is too long"));
}

#[test]
fn what_begins_a_comment_does_not_end_it() {
    let hidden = |begin: &str, end: &str| format!("{}{begin}{}{end}", "<a>".repeat(60), "</a>".repeat(60)).repeat(300);
    for (begin, end) in [("<!-->", "-->"), ("<!--->", "-->"), ("<![CDATA[", "]]>"), ("<?a ", "?>"), ("<?>", "?>")] {
        let line = error(&hidden(begin, end));
        assert!(line.contains("more than 64 elements are within each other"), "{line}");
    }
    assert_eq!(described(&device("<!--></device>--><peripherals/>")).name(), "D");
}

/// Peripherals P0, P1 and so on, each of which has a cluster C with X in it, which is derived from the C of the next.
fn nested_by_derivation(count: u32) -> String {
    let peripheral = |at: u32| {
        let within = match at + 1 {
            next if next == count => self::at("R", 0, ""),
            next => {
                format!("<cluster derivedFrom='P{next}.C'><name>X</name><addressOffset>0</addressOffset></cluster>")
            }
        };
        format!(
            "<peripheral><name>P{at}</name><baseAddress>0</baseAddress><registers>\n<cluster><name>C</name>\
             <addressOffset>0</addressOffset>{within}</cluster></registers></peripheral>"
        )
    };
    peripherals(&(0..count).map(peripheral).collect::<String>())
}

#[test]
fn clusters_are_not_nested_without_end_by_derivation() {
    let description = described(&nested_by_derivation(64));
    let path = format!("P0.C{}.R", ".X".repeat(63));
    assert_eq!(register(&description, &path).path(), path);
    for count in [65, 66, 2000] {
        let line = described(&nested_by_derivation(count)).find("P0.C").unwrap_err().to_string();
        assert!(line.contains("more than 64 clusters are within each other; "), "{line}");
    }
}

#[test]
fn a_path_in_derived_from_has_no_names_without_end() {
    let x = "<cluster derivedFrom='P.C'><name>X</name><addressOffset>0</addressOffset></cluster>";
    let c = format!("<cluster><name>C</name><addressOffset>0</addressOffset>{}{x}</cluster>", at("R", 0, ""));
    for names in [100, 20_000] {
        let path = format!("P.C{}.R", ".X".repeat(names));
        let register =
            format!("<register derivedFrom='{path}'><name>S</name><addressOffset>0</addressOffset></register>");
        let other = format!(
            "<peripheral><name>Q</name><baseAddress>0</baseAddress><registers>{register}</registers></peripheral>\
             </peripherals>"
        );
        let description = described(&registers(&c).replace("</peripherals>", &other));
        let line = description.find("Q.S").unwrap_err().to_string();
        assert!(line.contains("there is no register P.C.X.X.X."), "{line}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "so much text takes Miri hours")]
fn indices_of_arrays_are_counted_when_names_are_compared() {
    let index = "<register><dim>100000</dim><dimIncrement>0</dimIncrement><dimIndex>0-99999</dimIndex><name>T%s</name>\
                 <addressOffset>0</addressOffset></register>\n";
    let derived = |from: &str, name: &str, count: usize| {
        let one =
            format!("<register derivedFrom='{from}'><name>{name}</name><addressOffset>0</addressOffset></register>");
        registers(&(index.to_owned() + &one.repeat(count)))
    };
    let begin = time();
    let description = described(&derived("T", "S", 400));
    assert_eq!(found(&description, "P.T9999?").len(), 10);
    assert!(time() - begin < std::time::Duration::from_secs(3), "{:?}", time() - begin);
    let line = error(&derived("T99999", "S", 400));
    assert!(line.contains("too many elements are derived from others"), "{line}");
    let line = error(&derived("T", "S%s", 400));
    assert!(line.contains("too many elements are derived from others"), "{line}");
    let few = described(&derived("T[7]", "S%s", 1));
    assert_eq!(found(&few, "P.S9999?").len(), 10);
}

#[test]
#[cfg_attr(miri, ignore = "so much text takes Miri hours")]
fn lines_are_not_counted_for_each_error() {
    let rest = "<dim>10000</dim><dimIncrement>4</dimIncrement><size>7</size>";
    let wrong = registers(&(at("A", 0, "") + &at("R%s", 4, rest)));
    for (before, position) in [("\n".repeat(1 << 18), "262148:1"), ("\u{e9}".repeat(1 << 17), "4:1")] {
        let text = wrong.replacen("<name>", &format!("<description>{before}</description><name>"), 1);
        let description = described(&text);
        let Ok(Item::Peripheral(peripheral)) = description.find("P") else { panic!() };
        let begin = time();
        let errors: Vec<_> = peripheral.registers().filter_map(Result::err).collect();
        assert!(time() - begin < std::time::Duration::from_secs(2), "{:?}", time() - begin);
        assert_eq!(errors.len(), 10_000);
        let line = errors[9_999].to_string();
        assert!(line.starts_with(&format!("d.svd:{position}: the register R%s has 7 bits")), "{line}");
    }
    // All in one line.
    let text = format!("<device><description>{}</description>", "\u{20ac}\u{e9}".repeat(10_000));
    let line = Description::parse("d.svd", text + "<name>D</nome></device>").unwrap_err().to_string();
    assert!(line.starts_with("d.svd:1:20043: it is no XML: "), "{line}");
}

#[test]
fn peripherals_are_arrays_by_way_of_others_and_of_elements() {
    let derived = |name: &str, of: &str| {
        format!("<peripheral derivedFrom='{of}'><name>{name}</name><baseAddress>0</baseAddress></peripheral>\n")
    };
    let array = "<peripheral><dim>2</dim><dimIncrement>16</dimIncrement><name>T%s</name><description>It</description>\
                 <baseAddress>0</baseAddress></peripheral>\n";
    let text = derived("Y%s", "Z%s")
        + array
        + &derived("U%s", "T%s")
        + &derived("V%s", "U%s")
        + &derived("W%s", "T0")
        + &derived("X%s", "W[1]")
        + &derived("S", "X1")
        + &derived("R%s", "S")
        + &derived("Z%s", "Y%s");
    let description = described(&peripherals(&text));
    let names: Vec<_> = description.peripherals().map(|peripheral| peripheral.name().to_owned()).collect();
    let expected = "Y%s T0 T1 U0 U1 V0 V1 W0 W1 X0 X1 S R0 R1 Z%s";
    assert_eq!(names.join(" "), expected);
    for name in expected.split(' ').filter(|name| !name.contains('%')) {
        assert_eq!(description.find(name).unwrap().description().unwrap(), "It", "{name}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "so much text takes Miri hours")]
fn what_peripherals_are_derived_from_is_looked_up_once() {
    let array = |at: usize, of: &str| {
        format!(
            "<peripheral derivedFrom='{of}'><dim>2</dim><dimIncrement>0</dimIncrement><name>P{at}x%s</name>\
             <baseAddress>0</baseAddress></peripheral>"
        )
    };
    let arrays: String = (0..600).map(|at| array(at, &format!("P{at}x1"))).collect();
    let description = described(&peripherals(&arrays));
    let begin = time();
    assert!(description.peripherals().all(|peripheral| peripheral.description().is_none()));
    assert!(time() - begin < std::time::Duration::from_millis(500), "{:?}", time() - begin);
    let index = "<dimIndex>0-199999</dimIndex><name>P";
    let large = array(0, "P").replace("<dim>2<", "<dim>200000<").replace("<name>P", index);
    let others: String = (0..20).map(|at| array(1000 + at, &format!("P0x{at}y"))).collect();
    let others = others.replace("y'", "'");
    let line = error(&peripherals(&(large + &others)));
    assert!(line.contains("too many peripherals are derived from elements of arrays; "), "{line}");
}

#[test]
#[cfg_attr(miri, ignore = "so much text takes Miri hours")]
fn what_roxmltree_takes_too_much_for_is_an_error_before() {
    let attributes = |count: usize| (0..count).map(|at| format!(" a{at}='>'")).collect::<String>();
    let with = |count: usize| device("<peripherals/>").replace("<device", &format!("<device{}", attributes(count)));
    assert_eq!(described(&with(64)).name(), "D");
    let namespaces = |count: usize| {
        let declared: String = (0..count).map(|at| format!("<a xmlns:n{at}='n'/>")).collect();
        device(&format!("{declared}<peripherals/>"))
    };
    assert_eq!(described(&namespaces(64)).name(), "D");
    let table = [
        (with(65), "1:1: it has more than 64 attributes; "),
        (with(8000), "1:1: it has more than 64 attributes; "),
        (with(8000).split_once("><name").unwrap().0.to_owned(), "1:1: it has more than 64 attributes; "),
        (namespaces(65), "2:1143: it has more than 64 namespaces; "),
        (format!("<a>{}</a>", "<![CDATA[]]>".repeat(70_000)), "1:40132: it has too many sections of CDATA in a text; "),
        ("<a/>".repeat(6 << 20) + "<a/>", "1:1: it has too many elements for a description of registers; "),
        (" ".repeat((64 << 20) + 1), "1:1: it is too long for a description of registers; "),
    ];
    for (text, expected) in table {
        let line = error(&text);
        assert!(line.starts_with(&format!("d.svd:{expected}")), "{line}\nis not\n{expected}");
    }
}

#[test]
#[ignore = "it takes half a gigabyte"]
fn texts_between_elements_have_a_limit_too() {
    let line = error(&format!("<a>{}", "<b/> ".repeat(13 << 18)));
    assert!(line.starts_with("d.svd:1:1: it has too many elements for a description of registers; "), "{line}");
}

#[test]
fn names_and_errors_are_one_line() {
    let value =
        "<enumeratedValues><enumeratedValue><name>V&#10;W</name><value>1</value></enumeratedValue></enumeratedValues>";
    let rest = format!("<alternateRegister>N&#10;O</alternateRegister><fields>{}</fields>", bits("F\nG", 1, 0, value));
    let text = registers(&(at("A&#10;B", 0, &rest) + &at("C&#10;\nD", 4, "<size>7</size>")));
    let description = described(&text.replace(">D<", ">D&#10;E<"));
    assert_eq!(description.name(), "D E");
    assert_eq!(found(&description, "P.A*.*"), ["P.A B.F G"]);
    let Ok(Item::Field(field)) = description.find("P.A B.F G") else { panic!() };
    let names: Vec<_> = field.values().map(|value| value.name()).collect();
    assert_eq!(names, ["V W"]);
    let find = |path: &str| description.find(path).unwrap_err().to_string();
    let from = |path: &str| {
        let derived =
            format!("<register derivedFrom='{path}'><name>R</name><addressOffset>0</addressOffset></register>");
        error(&registers(&derived))
    };
    let errors = [
        (find("P.C D"), "d.svd:6:1: the register C D has 7 bits; "),
        (find("P.X\n\u{1b}[2J"), "P has no X\\n\\u{1b}[2J; "),
        (find("P.A B.F\u{9b}"), "P.A B has no F\\u{9b}; "),
        (find("P..\n"), "P..\\n is no path: "),
        (description.search("X*\n").unwrap_err().to_string(), "nothing in d.svd has the pattern X*\\n; "),
        (field.encode("X\n").unwrap_err().to_string(), "P.A B.F G has no value X\\n; give one of V W, "),
        (from("A&#10;B"), "d.svd:3:1: there is no register A\\nB to derive it from; "),
        (Description::parse("d\n.svd", "<a/>").unwrap_err().to_string(), "d\\n.svd:1:1: its root is <a>"),
        (Description::open("/nonexistent/\n").unwrap_err().to_string(), "cannot read /nonexistent/\\n: "),
        (error("<device\n!"), "d.svd:2:1: it is no XML: "),
        (error(&registers(&at("R", 0, "<access>a&#10;b</access>"))), "d.svd:3:"),
    ];
    for (line, expected) in errors {
        assert!(line.starts_with(expected), "{line}\nis not\n{expected}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

/// Uses everything of a file.
fn exercise(bytes: Vec<u8>, paths: &[&str]) {
    drop(Description::parse_strict("d.svd", bytes.clone()));
    let Ok(description) = Description::parse("d.svd", bytes) else { return };
    for path in ["*", "*.*", "*.*.*", "*.*.*.*"].iter().chain(paths) {
        drop(description.find(path));
        for item in description.search(path).into_iter().flatten().take(100) {
            drop(item.description());
            match item {
                Item::Peripheral(peripheral) => {
                    drop(peripheral.range());
                    peripheral.registers().take(100).for_each(drop);
                }
                Item::Register(register) => {
                    let parts = register.decode(u64::MAX).take(100);
                    parts.for_each(|part| drop((part.field.encode(part.number), register.hazards(part.field.mask()))));
                    assert!(register.address() >= register.offset());
                }
                Item::Field(field) => {
                    assert!(field.high() < field.register().width().bits());
                    assert_eq!(field.encode(field.max()).unwrap(), field.mask());
                }
            }
        }
    }
}

/// A file with something of everything.
fn sample() -> String {
    let rest = "<readAction>modify</readAction><fields>".to_owned()
        + &bits("F", 3, 0, "<enumeratedValues><name>V</name><enumeratedValue><name>A</name><value>#0x1</value>\
            </enumeratedValue></enumeratedValues>")
        + "<field derivedFrom='F'><dim>2</dim><dimIncrement>4</dimIncrement><name>G%s</name><lsb>4</lsb><msb>5</msb></field>"
        + "</fields>";
    let registers = at("R", 0, &rest)
        + "<register derivedFrom='P.R'><dim>3</dim><dimIncrement>4</dimIncrement><dimIndex>0-2</dimIndex><name>S[%s]</name>\
           <addressOffset>0x10</addressOffset></register>\n\
           <cluster><dim>2</dim><dimIncrement>0x20</dimIncrement><dimIndex>A,B</dimIndex><name>K%s</name>\
           <addressOffset>0x40</addressOffset><size>16</size>\n<register derivedFrom='R'><name>T</name>\
           <addressOffset>4</addressOffset></register></cluster>\n\
           <cluster derivedFrom='K%s'><name>L</name><addressOffset>0x80</addressOffset></cluster>\n";
    peripherals(&format!(
        "<peripheral><dim>2</dim><dimIncrement>4096</dimIncrement><name>P%s</name><baseAddress>0x1000</baseAddress>\
         <addressBlock><offset>0</offset><size>4096</size><usage>registers</usage></addressBlock>\
         <registers>{registers}</registers></peripheral>\n\
         <peripheral derivedFrom='P%s'><name>Q</name><baseAddress>0x8000</baseAddress></peripheral>"
    ))
    .replace("P.R", "P0.R")
}

#[test]
fn the_sample_is_whole() {
    let description = described(&sample());
    let registers = found(&description, "*.*").len() + found(&description, "*.*.T").len();
    assert_eq!(registers, 3 * (1 + 3 + 3 + 3), "clusters stand for their registers");
}

/// Changes a part of the file.
fn mutation() -> impl Strategy<Value = (u8, prop::sample::Index, prop::sample::Index, prop::sample::Index)> {
    (0..6_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>())
}

fn mutate(
    bytes: &mut Vec<u8>,
    (kind, start, end, to): (u8, prop::sample::Index, prop::sample::Index, prop::sample::Index),
) {
    const ABSURD: [&str; 10] = [
        "0",
        "7",
        "63",
        "64",
        "1000000000",
        "4294967295",
        "18446744073709551615",
        "-1",
        "0xffffffffffffffff",
        "0-4294967295",
    ];
    if bytes.is_empty() {
        return;
    }
    // Whole tags and texts, as long as there are some.
    let cuts: Vec<_> = (0..bytes.len())
        .filter(|&at| matches!(bytes[at], b'<' | b'>'))
        .map(|at| at + usize::from(bytes[at] == b'>'))
        .collect();
    let cut = |index: prop::sample::Index| {
        if cuts.is_empty() {
            index.index(bytes.len())
        } else {
            cuts[index.index(cuts.len())]
        }
    };
    let (start_at, end_at, to) = (cut(start), cut(end), cut(to));
    let (first, last) = (start_at.min(end_at), start_at.max(end_at).min(start_at.min(end_at) + 400));
    let part = bytes[first..last].to_vec();
    match kind {
        0 => drop(bytes.drain(first..last)),
        1 => drop(bytes.splice(to..to, part)),
        2 => {
            bytes.drain(first..last);
            let to = to.min(bytes.len());
            bytes.splice(to..to, part);
        }
        3 => bytes.truncate(last),
        4 => {
            let digits = (0..bytes.len())
                .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || matches!(bytes[at - 1], b'>' | b'[' | b':')));
            let digits: Vec<_> = digits.collect();
            if !digits.is_empty() {
                let at = digits[start.index(digits.len())];
                let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                bytes.splice(at..at + length, ABSURD[end.index(ABSURD.len())].bytes());
            }
        }
        _ => {
            let names = ["P%s", "P0.R", "R", "S", "F", "K%s", "L", "L.T", "KA.T", "P0.R.F", "V", "Q", "G%s"];
            let from = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"derivedFrom='")).collect::<Vec<_>>();
            if !from.is_empty() {
                let at = from[start.index(from.len())] + b"derivedFrom='".len();
                let length = bytes[at..].iter().take_while(|&&byte| byte != b'\'').count();
                bytes.splice(at..at + length, names[end.index(names.len())].bytes());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_described_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[<>/a-z='\" &;!?\\-\\[\\]]{0,200}") {
        exercise(bytes, &[]);
        exercise(text.into_bytes(), &[]);
    }

    #[test]
    fn a_changed_file_is_described_or_an_error(changes in prop::collection::vec(mutation(), 1..6)) {
        let mut bytes = sample().into_bytes();
        changes.into_iter().for_each(|change| mutate(&mut bytes, change));
        exercise(bytes, &["P0.R.F", "Q.KA.T", "P?.S[*]", "p1.s2.g1", "Q.L.T"]);
    }

    #[test]
    fn any_path_finds_something_or_is_an_error(
        path in "[PQRSTKLFGAB0-2%s\\[\\].:*?]{0,12}", other in ".{0,40}",
        names in prop::collection::vec("[PQRSK*?][0-2]?|\\*|[FG]", 1..5),
    ) {
        let description = described(&sample());
        for path in [path, other, names.join(".")] {
            if let Ok(item) = description.find(&path) {
                // What is found is found by its own path again.
                let again = description.find(item.path()).unwrap();
prop_assert_eq!(again.path(), item.path());
            }
            for item in description.search(&path).into_iter().flatten() {
                let again = description.find(item.path()).unwrap();
prop_assert_eq!(again.path(), item.path());
            }
        }
    }
}

/// A file of about 5 MB, as those of large microcontrollers: 80 peripherals with 40 registers of 5 fields each, some
/// with values.
fn large() -> String {
    let mut text = String::from(
        "<device><name>large</name><version>1</version><description>A large one</description>\
         <addressUnitBits>8</addressUnitBits><width>32</width><size>32</size><access>read-write</access><peripherals>\n",
    );
    for peripheral in 0..80 {
        let base = 0x4000_0000 + 0x1000 * peripheral;
        text += &format!(
            "  <peripheral>\n    <name>P{peripheral}</name>\n    <description>Peripheral {peripheral}</description>\n    \
             <baseAddress>{base:#x}</baseAddress>\n    <registers>\n"
        );
        for register in 0..40 {
            text += &format!(
                "      <register>\n        <name>R{register}</name>\n        <description>Control register {register} of \
                 it</description>\n        <addressOffset>{:#x}</addressOffset>\n        <resetValue>0x0</resetValue>\n        \
                 <fields>\n",
                4 * register
            );
            for field in 0..5 {
                text += &format!(
                    "          <field>\n            <name>F{field}</name>\n            <description>What the bits of field \
                     {field} do</description>\n            <bitOffset>{}</bitOffset>\n            \
                     <bitWidth>2</bitWidth>\n",
                    4 * field
                );
                if field == 0 {
                    text += "            <enumeratedValues>\n";
                    for value in 0..2 {
                        text += &format!(
                            "              <enumeratedValue><name>V{value}</name><description>Value \
                             {value}</description><value>{value}</value></enumeratedValue>\n"
                        );
                    }
                    text += "            </enumeratedValues>\n";
                }
                text += "          </field>\n";
            }
            text += "        </fields>\n      </register>\n";
        }
        text += "    </registers>\n  </peripheral>\n";
    }
    text + "</peripherals></device>\n"
}

/// How long the processor has run this thread.
fn time() -> std::time::Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// The time of the processor that opening a large file and finding a field in it takes:
/// `cargo test --release -p devmap --features svd --test svd -- --ignored --nocapture`.
#[test]
#[ignore = "it measures, and checks nothing"]
fn the_time_for_a_large_file() {
    let text = large();
    println!("{} bytes", text.len());
    for _ in 0..3 {
        let begin = time();
        let board = Description::parse("large.svd", text.as_str()).unwrap();
        let opened = time() - begin;
        board.find("P50.R20.F3").unwrap();
        println!("opened after {opened:?}, found after {:?}", time() - begin);
        let begin = time();
        Description::parse_strict("large.svd", text.as_str()).unwrap();
        println!("strictly after {:?}", time() - begin);
    }
}
