import Testing
import VecDB

@Suite struct JSONTests {
  private func record(_ line: String) throws -> JSONRecord {
    var line = line
    return try line.withUTF8 { try JSONRecord(line: UnsafeRawBufferPointer($0)) }
  }

  private func failure(_ body: () throws -> Void) -> JSONFailure? {
    do {
      try body()
      return nil
    } catch { return error as? JSONFailure }
  }

  @Test func aRecord() throws {
    let read = try record(
      #" {"vector" : [ 0.5, -1, 2e-3 ,0 ] , "key":"17\u00e9\ud83d\ude00\n", "metadata":{"#
        + #""lang":"de","year":1819,"r":4.50,"t":["a",1,null,true],"n":null,"e":[]}}"# + "\r\n")
    #expect(read.key == "17\u{e9}\u{1F600}\n")
    #expect(read.vector == [0.5, -1, 0.002, 0])
    #expect(
      read.metadata == [
        "lang": "de", "year": 1819, "r": 4.5, "t": ["a", 1, nil, true], "n": nil, "e": [],
      ])
    #expect(read.expiryMilliseconds == nil)
    #expect(try record("{}") == JSONRecord(key: nil, vector: nil, metadata: nil))
    #expect(try record(#"{"metadata":null,"expiryMilliseconds":-5}"#).expiryMilliseconds == -5)
  }

  /// The members of objects become fields whose names are paths.
  @Test func objectsInMetadataAreFlat() throws {
    let text = #"{"author":{"name":"x","born":{"year":1819,"tags":[1]},"none":{}},"n":null}"#
    let metadata = try Metadata(json: text)
    #expect(
      metadata
        == ["author.name": "x", "author.born.year": 1819, "author.born.tags": [1], "n": nil])
    #expect(try Filter(parsing: "author.born.year < 1820").matches(metadata))
    func nested(_ depth: Int) -> String {
      String(repeating: #"{"a":"#, count: depth) + "1" + String(repeating: "}", count: depth)
    }
    #expect(try Metadata(json: nested(16)).fields.count == 1)
    for text in [nested(17), nested(100_000), #"{"a":[{"b":1}]}"#, #"{"a":{"b":1,"b":2}}"#] {
      #expect(throws: VecDBError.self) { try Metadata(json: text) }
    }
  }

  @Test(arguments: [
    ("", 0, "expected an object, found the end of the text"),
    ("\u{FEFF}{}", 0, "expected an object, found a byte order mark"),
    ("[1]", 0, "expected an object, found '['"),
    (#"{"key":"a"}x"#, 11, "expected the end of the text, found 'x'"),
    (#"{"key":17}"#, 7, "expected the key as a string in quotes, found '1'"),
    (#"{"key":"a","key":"b"}"#, 11, #"the name "key" appears twice in one object"#),
    (#"{"vektor":[1]}"#, 1, #"unknown member "vektor"; a record has key, vector and metadata"#),
    (#"{"vector":[1,]}"#, 13, "expected a number, found ']'"),
    (#"{"vector":[1 2]}"#, 13, "expected ',' or ']' in a vector, found '2'"),
    (#"{"vector":[NaN]}"#, 11, "expected a number, found 'N'"),
    (#"{"vector":[01]}"#, 11, "a number with a leading zero"),
    (#"{"vector":[.5]}"#, 11, "expected a number, found '.'"),
    (#"{"vector":[1.]}"#, 13, "expected a digit after the point, found ']'"),
    (#"{"vector":[+1]}"#, 11, "expected a number, found '+'"),
    (#"{"vector":[-]}"#, 12, "expected a digit, found ']'"),
    (#"{"vector":[1e]}"#, 13, "expected a digit of the exponent, found ']'"),
    (#"{"vector":[3.5e38]}"#, 11, "3.5e38 does not fit single precision"),
    (#"{"vector":"x"}"#, 10, "expected an array of numbers, found '\"'"),
    (#"{"metadata":{"a":1,"a":2}}"#, 19, #"the name "a" appears twice in one object"#),
    (
      #"{"metadata":{"a":{"b":1},"a.b":2}}"#, 25, #"the name "a.b" appears twice in one object"#
    ),
    (#"{"metadata":{"a":[[]]}}"#, 18, "an array in metadata holds scalars only"),
    (#"{"metadata":{"a":1e999}}"#, 17, "1e999 does not fit double precision"),
    (#"{"metadata":{"a":nul}}"#, 17, "expected null"),
    (#"{"metadata":{"a" 1}}"#, 17, #"expected ':' after the name "a", found '1'"#),
    (#"{"metadata":{a:1}}"#, 13, "expected a member's name in quotes, found 'a'"),
    (#"{"metadata":{"a":1,}}"#, 19, "expected a member's name in quotes, found '}'"),
    (#"{"metadata":{"a":1"#, 18, "expected ',' or '}', found the end of the text"),
    (#"{"metadata":3}"#, 12, "expected an object, found '3'"),
    (#"{"key":"abc"#, 7, "a string without a closing quote"),
    ("{\"key\":\"a\tb\"}", 9, "a control character in a string, which must be escaped"),
    (#"{"key":"\x"}"#, 8, "an escape that JSON does not have"),
    (#"{"key":"\u12g4"}"#, 8, "an escape without its four hexadecimal digits"),
    (#"{"key":"a\ud800"}"#, 9, "half of a surrogate pair"),
    (#"{"key":"a\ud800\u0041"}"#, 9, "half of a surrogate pair"),
    (#"{"key":"a\udc00"}"#, 9, "half of a surrogate pair"),
    (#"{"expiryMilliseconds":1.5}"#, 22, "expected the time of expiry, a 64-bit integer"),
  ])
  func mistakes(line: String, offset: Int, message: String) {
    let found = failure { _ = try record(line) }
    #expect(found == JSONFailure(message, offsetBytes: offset), "\(line)")
  }

  @Test func textThatIsNotUTF8() {
    for bytes: [UInt8] in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0x5C, 0x6E, 0xFF]] {
      let line = Array("{\"key\":\"".utf8) + bytes + Array("\"}".utf8)
      let found = failure { _ = try line.withUnsafeBytes { try JSONRecord(line: $0) } }
      #expect(found?.message == "a string that is not UTF-8")
      #expect(found?.offsetBytes == 8)
    }
  }

  @Test func errorsForCallersNameThePlace() {
    do {
      _ = try Metadata(json: #"{"a":}"#)
      Issue.record("was read")
    } catch {
      #expect("\(error)" == "expected a value, found '}' (metadata, byte 6)")
    }
    let failure = JSONFailure("wrong", offsetBytes: 0).error(in: "f.jsonl, line 7")
    #expect(failure.description == "wrong (f.jsonl, line 7, byte 1)")
  }

  /// import → export → import → export: the second export is the first, byte by byte.
  @Test func exportsAreFixpoints() throws {
    var generator = MetadataGenerator(seed: 42)
    var writer = JSONWriter()
    for _ in 0..<5_000 {
      let vector = (0..<8).map { _ -> Float in
        let value = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator))
        guard value.isFinite, Bool.random(using: &generator) else {
          return Float(Int.random(in: -300...300, using: &generator)) / generator.pick([1, 2, 3])
        }
        return value
      }
      let key = generator.fieldName()
      let metadata = generator.metadata()
      let expiry: Int64? = generator.pick([nil, 0, .max])
      let line = try export(&writer, key, vector, metadata, expiry)
      let read = try line.withUnsafeBytes { try JSONRecord(line: $0) }
      #expect(read.key.map { Array($0.utf8) } == Array(key.utf8))
      #expect(read.vector?.map(\.bitPattern) == vector.map(\.bitPattern))
      #expect(read.metadata == metadata)
      #expect(read.expiryMilliseconds == expiry)
      let again = try export(
        &writer, read.key ?? "", read.vector ?? [], read.metadata ?? [:], read.expiryMilliseconds)
      #expect(again == line)
      #expect(metadata.description == (try exported(metadata)))
    }
  }

  @Test func theFormOfALine() throws {
    var writer = JSONWriter()
    let line = try export(
      &writer, "a\"\\/\u{7}\n\u{e9}\u{7F}", [0, -0.0, 1, -255, 0.1, 1e-5, 16_777_216, 3.4e38, 1.5],
      ["z": 1, "a": 2.0, "m": [1e16, "x"], "t": true], 12)
    #expect(
      String(decoding: line, as: UTF8.self)
        == #"{"key":"a\"\\/\u0007\n"# + "\u{e9}\u{7F}"
        + #"","vector":[0,-0.0,1,-255,0.1,1e-05,16777216.0,3.4e+38,1.5],"#
        + #""metadata":{"a":2.0,"m":[1e+16,"x"],"t":true,"z":1},"expiryMilliseconds":12}"# + "\n")
  }

  private func export(
    _ writer: inout JSONWriter, _ key: String, _ vector: [Float], _ metadata: Metadata,
    _ expiry: Int64?
  ) throws -> [UInt8] {
    writer.removeAll()
    try vector.withUnsafeBufferPointer { vector in
      try metadata.canonicalBytes().withUnsafeBytes { metadata in
        try writer.writeRecord(
          key: key, vector: vector, canonicalMetadata: metadata, expiryMilliseconds: expiry)
      }
    }
    return writer.bytes
  }

  private func exported(_ metadata: Metadata) throws -> String {
    var writer = JSONWriter()
    try metadata.canonicalBytes().withUnsafeBytes { try writer.write(canonicalMetadata: $0) }
    return writer.text
  }

  @Test func anyValue() throws {
    let text = #"{"verb":"backup","n":-1,"x":1.5,"list":[1,"a",null,{"b":[]}],"ok":true}"#
    let value = try JSONValue(parsing: text)
    #expect(value["verb"]?.stringValue == "backup")
    #expect(value["n"]?.integerValue == -1)
    #expect(value["n"]?.doubleValue == -1)
    #expect(value["ok"]?.boolValue == true)
    #expect(value["list"]?.arrayValue?.count == 4)
    #expect(value["gone"] == nil)
    var writer = JSONWriter()
    writer.write(value)
    writer.endLine()
    writer.beginArray()
    writer.write(1.0 as Float)
    writer.write(0.5)
    writer.write(7 as UInt64)
    writer.writeNull()
    writer.endArray()
    #expect(writer.text == text + "\n[1,0.5,7,null]")
    #expect(failure { _ = try JSONValue(parsing: #"{"a":1,"b":2,"a":3}"#) }?.offsetBytes == 13)
    #expect(try JSONScanner.vector(parsing: " [1, 2.5] ") == [1, 2.5])
    #expect(failure { _ = try JSONScanner.vector(parsing: "1,2") }?.offsetBytes == 0)
  }

  @Test func depthIsLimited() throws {
    let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(failure { _ = try JSONValue(parsing: deep) } == nil)
    #expect(failure { _ = try JSONValue(parsing: "[\(deep)]") }?.offsetBytes == 64)
    let hostile = String(repeating: "{\"a\":", count: 200_000)
    #expect(failure { _ = try JSONValue(parsing: hostile) } != nil)
    #expect(failure { _ = try record("{\"metadata\":{\"a\":" + hostile) } != nil)
  }

  /// Every prefix and every changed byte of a line: a record or an error, never a trap.
  @Test func survivesEveryFlip() {
    let line = Array(
      #"{"key":"1\u00e9","vector":[1.5,-2e3],"metadata":{"a":["x",null,true],"b":-0.5}}"#.utf8)
    for index in line.indices {
      for change in 1...255 {
        var damaged = line
        damaged[index] ^= UInt8(change)
        _ = try? damaged.withUnsafeBytes { try JSONRecord(line: $0) }
      }
      #expect((try? line[..<index].withUnsafeBytes { try JSONRecord(line: $0) }) == nil)
    }
  }
}
