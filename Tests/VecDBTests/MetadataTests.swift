import Testing
import VecDB
import VecDBBytes

@Suite struct MetadataTests {
  private func code(_ body: () throws -> Void) -> VecDBError.Code? {
    do {
      try body()
      return nil
    } catch let error as VecDBError { return error.code } catch { return nil }
  }

  /// The stored form, byte by byte, as the documentation of formats gives it.
  @Test func goldenBytes() throws {
    let metadata: Metadata = [
      "b": [1, "x", nil], "a": "hé", "": true, "ab": -2, "c": 0.5, "d": nil, "B": false,
    ]
    var valid = metadata
    valid[""] = nil
    let expected: [UInt8] = [
      1,  // version
      6, 0,  // fields
      1, 0, 0x42, 1, 0, 0, 0, 1,  // B: false
      1, 0, 0x61, 4, 0, 0, 0, 5, 0x68, 0xC3, 0xA9,  // a: "hé"
      2, 0, 0x61, 0x62, 9, 0, 0, 0, 3, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,  // ab: -2
      1, 0, 0x62, 29, 0, 0, 0, 6, 3, 0, 0, 0,  // b: three elements
      9, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0,  // 1
      2, 0, 0, 0, 5, 0x78,  // "x"
      1, 0, 0, 0, 0,  // null
      1, 0, 0x63, 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F,  // c: 0.5
      1, 0, 0x64, 1, 0, 0, 0, 0,  // d: null
    ]
    #expect(try valid.canonicalBytes() == expected)
    #expect(try Metadata(canonicalBytes: expected) == valid)
    #expect(try Metadata().canonicalBytes() == [1, 0, 0])
    #expect(code { try metadata.validate() } == .invalidArgument)  // an empty name
  }

  @Test func equalBytesExactlyWhenEqual() throws {
    var generator = MetadataGenerator(seed: 11)
    var seen: [[UInt8]: Metadata] = [:]
    for _ in 0..<20_000 {
      let metadata = generator.metadata()
      let bytes = try metadata.canonicalBytes()
      let decoded = try Metadata(canonicalBytes: bytes)
      #expect(decoded == metadata)
      #expect(decoded.hashValue == metadata.hashValue)
      #expect(try decoded.canonicalBytes() == bytes)
      if let other = seen.updateValue(metadata, forKey: bytes) { #expect(other == metadata) }
    }
    // Distinct bytes, distinct metadata.
    #expect(Set(seen.values).count == seen.count)
  }

  @Test func equalityIsOfBytes() {
    #expect(MetadataValue.integer(1) != .double(1))
    #expect(MetadataValue.double(-0.0) == .double(0))
    #expect(MetadataValue.string("e\u{301}") != .string("\u{e9}"))
    #expect(MetadataValue.array([1]) != .array([1.0]))
    let composed: Metadata = ["\u{e9}": 1]
    let decomposed: Metadata = ["e\u{301}": 1]
    #expect(composed != decomposed)
  }

  @Test func fieldsInOrderWithoutBuilding() throws {
    let metadata: Metadata = ["z": 1, "a": "x", "m": [true]]
    var names: [String] = []
    try metadata.canonicalBytes().withUnsafeBytes { bytes in
      try CanonicalMetadata.forEachField(in: bytes) { name, value in
        let name = String(decoding: name, as: UTF8.self)
        names.append(name)
        let owned = try MetadataValue(canonicalBytes: value)
        #expect(owned == metadata[name])
        #expect(metadata[name]?.canonicalBytes == Array(value))
      }
    }
    #expect(names == ["a", "m", "z"])
  }

  @Test func limits() {
    let long = String(repeating: "n", count: Metadata.fieldNameSizeBytesMax)
    #expect(code { try Metadata([long: 1]).validate() } == nil)
    #expect(code { try Metadata([long + "n": 1]).validate() } == .invalidArgument)
    #expect(code { try Metadata(["x": .double(.infinity)]).validate() } == .invalidArgument)
    #expect(code { try Metadata(["x": [.double(.nan)]]).validate() } == .invalidArgument)
    #expect(code { try Metadata(["x": [[1]]]).validate() } == .invalidArgument)
    let many = (0...Metadata.fieldCountMax).map { ("f\($0)", MetadataValue.null) }
    #expect(
      code { try Metadata(Dictionary(many) { $1 }).validate() } == .limitExceeded)
    // 3 bytes of header, 2 + 1 of name, 4 of length and the tag leave this much for text.
    let text = String(repeating: "x", count: Metadata.sizeBytesMax - 11)
    #expect(code { try Metadata(["x": .string(text)]).validate() } == nil)
    #expect(code { try Metadata(["x": .string(text + "x")]).validate() } == .limitExceeded)
  }

  @Test func refusesOtherVersions() {
    #expect(code { _ = try Metadata(canonicalBytes: [2, 0, 0]) } == .unknownVersion)
    #expect(code { _ = try Metadata(canonicalBytes: [0, 0, 0]) } == .unknownVersion)
  }

  @Test(
    arguments: [
      [],
      [1],
      [1, 1, 0],
      [1, 0, 0, 0],  // something left over
      [1, 1, 0, 0, 0, 1, 0, 0, 0, 0],  // an empty name
      [1, 1, 0, 1, 0, 0xFF, 1, 0, 0, 0, 0],  // a name that is not UTF-8
      [1, 2, 0, 1, 0, 0x62, 1, 0, 0, 0, 0, 1, 0, 0x61, 1, 0, 0, 0, 0],  // out of order
      [1, 2, 0, 1, 0, 0x61, 1, 0, 0, 0, 0, 1, 0, 0x61, 1, 0, 0, 0, 0],  // twice
      [1, 1, 0, 1, 0, 0x61, 0, 0, 0, 0],  // an empty value
      [1, 1, 0, 1, 0, 0x61, 1, 0, 0, 0, 7],  // an unknown tag
      [1, 1, 0, 1, 0, 0x61, 2, 0, 0, 0, 0, 0],  // null with a payload
      [1, 1, 0, 1, 0, 0x61, 2, 0, 0, 0, 3, 0],  // a short integer
      [1, 1, 0, 1, 0, 0x61, 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x80],  // -0.0
      [1, 1, 0, 1, 0, 0x61, 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0xF0, 0x7F],  // infinity
      [1, 1, 0, 1, 0, 0x61, 2, 0, 0, 0, 5, 0xC3],  // text that is not UTF-8
      [1, 1, 0, 1, 0, 0x61, 5, 0, 0, 0, 6, 1, 0, 0, 0],  // an array of one without it
      [1, 1, 0, 1, 0, 0x61, 5, 0, 0, 0, 6, 255, 255, 255, 255],
      [1, 1, 0, 1, 0, 0x61, 10, 0, 0, 0, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0],  // more than it says
      [1, 1, 0, 1, 0, 0x61, 14, 0, 0, 0, 6, 1, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0],  // nested
      [1, 1, 0, 1, 0, 0x61, 255, 255, 255, 255, 0],
    ] as [[UInt8]])
  func refusesDamage(bytes: [UInt8]) {
    #expect(code { _ = try Metadata(canonicalBytes: bytes) } == .corrupt)
  }

  /// The two spellings of "é" are one key to a Swift dictionary, so no record can hold both.
  @Test func refusesTwoSpellingsOfOneName() {
    let bytes: [UInt8] = [
      1, 2, 0, 3, 0, 0x65, 0xCC, 0x81, 1, 0, 0, 0, 0, 2, 0, 0xC3, 0xA9, 1, 0, 0, 0, 0,
    ]
    #expect(code { _ = try Metadata(canonicalBytes: bytes) } == .corrupt)
  }

  /// Any byte changed or cut off: an error, or metadata whose bytes are exactly the input.
  @Test func survivesEveryFlip() throws {
    let metadata: Metadata = ["a": [1, "x", nil, 2.5], "b": "text", "c": true, "d": 7]
    let bytes = try metadata.canonicalBytes()
    for index in bytes.indices {
      for change in 1...255 {
        var damaged = bytes
        damaged[index] ^= UInt8(change)
        if let read = try? Metadata(canonicalBytes: damaged) {
          #expect(try read.canonicalBytes() == damaged)
        }
      }
      #expect(code { _ = try Metadata(canonicalBytes: Array(bytes[..<index])) } == .corrupt)
    }
  }

  @Test func subscripts() {
    var metadata: Metadata = ["a": 1, "b": nil]
    #expect(metadata["b"] == .null)
    #expect(metadata["c"] == nil)
    metadata["b"] = nil
    #expect(metadata.fields.keys.sorted() == ["a"])
    metadata["b"] = .null
    #expect(metadata.description == #"{"a":1,"b":null}"#)
  }
}
