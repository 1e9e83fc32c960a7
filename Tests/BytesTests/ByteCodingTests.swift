import Testing
import VecDBBytes

@Suite struct ByteCodingTests {
  private static func sample() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 100)
    writer.write(UInt8(0xab))
    writer.write(UInt16(0x0102))
    writer.write(Int64(-2))
    writer.write(Float(-0.0))
    writer.write(Double.pi)
    writer.write(Digest.zero)
    writer.write("naïve")
    writer.write(counted: [1, 2, 3])
    writer.write(raw: [9, 8])
    return writer.bytes
  }

  private static func readAll(_ bytes: [UInt8]) throws -> Int {
    try bytes.withUnsafeBytes { raw in
      var reader = ByteReader(raw)
      #expect(try reader.read(UInt8.self, "a") == 0xab)
      #expect(try reader.read(UInt16.self, "b") == 0x0102)
      #expect(try reader.read(Int64.self, "c") == -2)
      #expect(try reader.readFloat("d").bitPattern == Float(-0.0).bitPattern)
      #expect(try reader.readDouble("e") == .pi)
      #expect(try reader.readDigest("f") == .zero)
      #expect(try reader.readString("g") == "naïve")
      #expect(Array(try reader.readCounted("h")) == [1, 2, 3])
      #expect(Array(try reader.readRaw(count: 2, "i")) == [9, 8])
      try reader.expectEnd("end")
      return reader.offset
    }
  }

  @Test func whatIsWrittenIsReadAgain() throws {
    let bytes = Self.sample()
    #expect(try Self.readAll(bytes) == bytes.count)
    #expect(Array(bytes[..<3]) == [0xab, 0x02, 0x01])
  }

  @Test func everyTruncationIsAFailureWithItsPlace() {
    let bytes = Self.sample()
    for count in 0..<bytes.count {
      #expect(throws: ByteReader.Failure.self) { try Self.readAll(Array(bytes[..<count])) }
    }
    let failure = #expect(throws: ByteReader.Failure.self) { try Self.readAll(bytes + [0]) }
    #expect(failure?.field == "end")
    #expect(failure?.offset == bytes.count)
  }

  @Test func hostileLengthsAreRefused() {
    let huge: [UInt8] = [0xff, 0xff, 0xff, 0xff, 1, 2]
    huge.withUnsafeBytes { raw in
      var reader = ByteReader(raw)
      #expect(throws: ByteReader.Failure.self) { try reader.readCounted("x") }
      reader = ByteReader(raw)
      #expect(throws: ByteReader.Failure.self) { try reader.readRaw(count: -1, "x") }
      reader = ByteReader(raw)
      #expect(throws: ByteReader.Failure.self) { try reader.readRaw(count: .max, "x") }
    }
    let invalid: [UInt8] = [2, 0, 0, 0, 0xc3, 0x28]
    invalid.withUnsafeBytes { raw in
      var reader = ByteReader(raw)
      #expect(throws: ByteReader.Failure.self) { try reader.readString("x") }
      reader = ByteReader(raw)
      #expect(throws: ByteReader.Failure.self) { try reader.readString(maximum: 1, "x") }
    }
  }
}
