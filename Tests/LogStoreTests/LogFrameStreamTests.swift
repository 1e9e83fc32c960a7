import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

@Suite struct LogFrameStreamTests {
  let start = LogPosition(lsn: 41, chain: SHA256.hash([9]))
  let frames: [LogFrame]
  let bytes: [UInt8]

  init() {
    var random = TestRandom(seed: 11)
    var position = start
    frames = (0..<6).map { number in
      let frame = LogFrame(
        after: position, epochCounter: 1, timeMilliseconds: Int64(number),
        payload: random.bytes(number * 20))
      position = frame.position
      return frame
    }
    bytes = LogFrameStream.encode(identity: testIdentity, start: start, frames: frames)
  }

  func read(_ bytes: [UInt8], piece: Int = .max) throws -> [LogFrame] {
    var reader = LogFrameStreamReader(place: "test")
    var read: [LogFrame] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      reader.feed(rest.prefix(piece))
      rest = rest.dropFirst(piece)
      while let frame = try reader.next() { read.append(frame) }
    }
    try reader.expectComplete()
    #expect(reader.start == start)
    #expect(reader.identity == testIdentity)
    #expect(reader.position == frames.last?.position)
    return read
  }

  @Test func encodedFramesAreTheSameStream() throws {
    var piece = LogFrameStream.Piece(identity: testIdentity, start: start, epochCounter: 1)
    for frame in frames {
      let encoded = try EncodedLogFrame(frame.encoded(), at: "test")
      try encoded.checkFollows(piece.end, at: "test")
      #expect(encoded.decoded == frame)
      piece.append(encoded)
    }
    #expect(piece.firstLSN == frames[0].lsn)
    #expect(piece.end == frames.last?.position)
    #expect(piece.encoded() == bytes)
  }

  /// Every bit of a frame is covered by its CRC, and its chain by the one before.
  @Test func encodedFramesAreChecked() throws {
    let whole = frames[3].encoded()
    for bit in 0..<whole.count * 8 {
      var damaged = whole
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: StoreError.self) { try EncodedLogFrame(damaged, at: "test") }
    }
    let frame = try EncodedLogFrame(whole, at: "test")
    #expect(throws: StoreError.self) { try frame.checkFollows(frames[1].position, at: "test") }
    let other = LogPosition(lsn: frames[2].lsn, chain: .zero)
    #expect(throws: StoreError.self) { try frame.checkFollows(other, at: "test") }
    try frame.checkFollows(frames[2].position, at: "test")
  }

  @Test func arrivesInPiecesOfAnySize() throws {
    for piece in [1, 2, 7, 100, 1000, .max] { #expect(try read(bytes, piece: piece) == frames) }
    let empty = LogFrameStream.encode(identity: testIdentity, start: start, frames: [])
    var reader = LogFrameStreamReader(place: "test")
    reader.feed(empty)
    #expect(try reader.next() == nil)
    #expect(reader.isComplete)
  }

  /// The format of version 1, as a digest.
  @Test func goldenBytes() {
    #expect(bytes.count == 52 + testIdentity.encoded().count + 4 + 6 * 72 + 300 + 48)
    #expect(Array(bytes[..<8]) == Array("VDBS".utf8) + [1, 0, 0, 0])
    #expect(
      SHA256.hash(bytes).hex == "22a1fa6cb750dde981ea183fb297bd86e34ad764dde3f6addabd4be039dfd0bb")
  }

  @Test func everyFlippedBitAndCutIsRefused() {
    for offset in bytes.indices {
      var bad = bytes
      bad[offset] ^= 1 << UInt8(offset % 8)
      #expect(throws: StoreError.self, "byte \(offset)") { try read(bad) }
      #expect(throws: StoreError.self, "cut at \(offset)") { try read(Array(bytes[..<offset])) }
    }
    #expect(throws: StoreError.self) { try read(bytes + [0]) }
  }

  @Test func framesOutOfOrderAreRefused() {
    var swapped = frames
    swapped.swapAt(2, 3)
    #expect(throws: StoreError.self) {
      try read(LogFrameStream.encode(identity: testIdentity, start: start, frames: swapped))
    }
    #expect(throws: StoreError.self) {
      try read(
        LogFrameStream.encode(
          identity: testIdentity, start: start, frames: frames[..<2] + frames[3...]))
    }
  }
}
