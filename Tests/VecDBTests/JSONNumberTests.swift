import Testing
import VecDB

/// Numbers are rounded once, correctly, on the fast paths too. The reference is the standard
/// library's conversion of the same text.
@Suite struct JSONNumberTests {
  private func float(_ text: String) -> Float? {
    try? JSONScanner.vector(parsing: "[\(text)]").first
  }

  private func double(_ text: String) -> MetadataValue? {
    try? Metadata(json: "{\"x\":\(text)}")["x"]
  }

  private func check(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let float = Float(text)
    let expected = float.flatMap { $0.isFinite ? $0.bitPattern : nil }
    #expect(self.float(text)?.bitPattern == expected, "\(text)", sourceLocation: sourceLocation)
    guard text.contains(where: { ".eE".contains($0) }) else { return }
    let double = Double(text).flatMap { $0.isFinite ? $0 : nil }
    #expect(
      self.double(text) == double.map(MetadataValue.double), "\(text)",
      sourceLocation: sourceLocation)
  }

  @Test(arguments: [
    "0", "-0", "0.0", "-0.0", "1", "-1", "0.1", "1e0", "1E+2", "1e-2",
    "123456789012345678901234567890",
    "16777217", "16777219", "16777217.0000000000000000000000000001", "33554434.0", "1e22", "1e23",
    "8.5899345920000000e9", "3.4028234663852886e38", "3.4028235677973366e38", "3.4028236e38",
    "3.40282356779733661637539395458142568447e38", "1.1754943508222875e-38", "1.17549435e-38",
    "1.401298464324817e-45", "7.006492321624085e-46", "7.0064923216240853e-46", "7e-46", "1e-46",
    "2.2250738585072011e-308", "4.9e-324", "2e-324", "1e-400", "0.000000000000000000000000000001",
    "1.7976931348623157e308", "9007199254740993.0", "9007199254740992.99999999999999999999999",
    "0.30000001192092896", "0.300000026822090148925781250001", "0.30000002682209014892578125",
    "1e39", "1e309", "1e99999999999999999999", "1e-99999999999999999999", "0e99999999999",
    "10000000000000000000000000000000000000000e-40", "5e-44", "12345678901234567890e-44",
  ])
  func edges(text: String) { check(text) }

  @Test func randomTexts() {
    var generator = MetadataGenerator(seed: 77)
    for _ in 0..<100_000 {
      let digits = Int.random(in: 1...25, using: &generator)
      var text = generator.pick(["", "-"]) + String(Int.random(in: 1...9, using: &generator))
      let point = Int.random(in: 0...digits, using: &generator)
      for index in 0..<digits {
        if index == point { text += "." }
        text += String(Int.random(in: 0...9, using: &generator))
      }
      if Bool.random(using: &generator) {
        text += "e\(Int.random(in: -60...45, using: &generator))"
      }
      check(text)
    }
  }

  /// Every second value of these lies exactly between two Floats, or within a few units of the
  /// last digit of that, where rounding twice goes wrong.
  @Test func nearMidpoints() {
    var generator = MetadataGenerator(seed: 78)
    for _ in 0..<50_000 {
      let bits = UInt32.random(in: 0x0080_0000..<0x7F00_0000, using: &generator)
      let low = Double(Float(bitPattern: bits))
      let high = Double(Float(bitPattern: bits + 1))
      var middle = low + (high - low) / 2
      for _ in 0..<Int.random(in: 0...3, using: &generator) {
        middle = Bool.random(using: &generator) ? middle.nextUp : middle.nextDown
      }
      check(middle.description)
    }
  }

  @Test func everyFloatSurvivesItsText() throws {
    var generator = MetadataGenerator(seed: 79)
    var writer = JSONWriter()
    for _ in 0..<2_000 {
      let vector = (0..<64).map { _ -> Float in
        let value = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator))
        return value.isFinite ? value : 0
      }
      writer.removeAll()
      writer.write(vector: vector)
      let read = try JSONScanner.vector(parsing: writer.text)
      #expect(read.map(\.bitPattern) == vector.map(\.bitPattern))
    }
  }

  @Test(arguments: [
    ("9223372036854775807", MetadataValue.integer(.max)),
    ("-9223372036854775808", .integer(.min)), ("9223372036854775808.0", .double(0x1p63)),
    ("-9.223372036854775809e18", .double(-0x1p63)), ("18446744073709551616e0", .double(0x1p64)),
    ("0", .integer(0)), ("-0", .integer(0)), ("-1", .integer(-1)), ("1.0", .double(1)),
    ("1e3", .double(1000)), ("-0.0", .double(0)), ("10000000000000000000.0", .double(1e19)),
  ])
  func integersStayIntegers(text: String, value: MetadataValue) {
    #expect(double(text) == value)
  }

  /// As doubles they would be other numbers, and equal to one another.
  @Test(arguments: [
    "9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
    "10000000000000000000", "100000000000000000000000000000000000000",
  ])
  func integersThatDoNotFitAreRefused(text: String) throws {
    #expect(throws: VecDBError.self) { try Metadata(json: "{\"a\":\(text)}") }
    #expect(throws: VecDBError.self) { try Metadata(json: "{\"a\":[1,\(text)]}") }
    for filter in ["a == \(text)", "a < \(text)", "a in (1,\(text))", "a contains \(text)"] {
      #expect(throws: VecDBError.self) { try Filter(parsing: filter) }
    }
  }
}
