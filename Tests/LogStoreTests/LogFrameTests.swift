import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

@Suite struct LogFrameTests {
  static let first = LogFrame(
    after: .zero, epochCounter: 1, timeMilliseconds: 1_700_000_000_123, payload: [1, 2, 3])

  static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  func decode(_ bytes: [UInt8]) throws -> LogFrame {
    try bytes.withUnsafeBytes { try LogFrame(decoding: $0, at: "test") }
  }

  /// These bytes are the format: they must never change within version 1. The chain and the CRC
  /// were computed by another implementation (Python's hashlib and a bitwise CRC-32C).
  @Test func goldenBytes() throws {
    let bytes = Self.first.encoded()
    #expect(
      Self.hex(bytes)
        == "56444246" + "01" + "000000" + "0100000000000000" + "0100000000000000"
        + "7b68e5cf8b010000" + "03000000" + "010203"
        + "f86a43d136643d103e20e8cc2754cb523cdcfb762e9cff9a765f20894a2a137a" + "581ae29d")
    #expect(try decode(bytes) == Self.first)
    try Self.first.checkFollows(.zero, at: "test")
  }

  @Test func everyFlippedBitAndLengthIsRefused() throws {
    let good = Self.first.encoded()
    for offset in good.indices {
      for bit in 0..<8 {
        var bad = good
        bad[offset] ^= 1 << UInt8(bit)
        let error = #expect(throws: StoreError.self) { try decode(bad) }
        #expect(error?.kind == (offset == 4 ? .unknownVersion : .corrupt))
      }
      #expect(throws: StoreError.self) { try decode(Array(good[..<offset])) }
    }
    #expect(throws: StoreError.self) { try decode(good + [0]) }
  }

  @Test func chainTellsHistoriesApart() throws {
    let second = LogFrame(
      after: Self.first.position, epochCounter: 1, timeMilliseconds: 5, payload: [])
    try second.checkFollows(Self.first.position, at: "test")
    let variants = [
      LogFrame(
        after: .zero, epochCounter: 2, timeMilliseconds: 1_700_000_000_123, payload: [1, 2, 3]),
      LogFrame(
        after: .zero, epochCounter: 1, timeMilliseconds: 1_700_000_000_124, payload: [1, 2, 3]),
      LogFrame(
        after: .zero, epochCounter: 1, timeMilliseconds: 1_700_000_000_123, payload: [1, 2, 4]),
    ]
    for other in variants {
      #expect(other.chain != Self.first.chain)
      #expect(throws: StoreError.self) { try second.checkFollows(other.position, at: "test") }
    }
    #expect(throws: StoreError.self) { try second.checkFollows(second.position, at: "test") }
  }

  @Test func identityRoundTripsAndIsChecked() throws {
    var identity = testIdentity
    identity.epochs.append(
      Epoch(
        counter: 7, id: UniqueID(high: 3, low: 4), parentID: UniqueID(high: 1, low: 2),
        beganAtLSN: 10, beganAtChain: Self.first.chain))
    #expect(try LogIdentity(decoding: identity.encoded(), at: "test") == identity)
    #expect(testIdentity.isAncestor(of: identity))
    #expect(!identity.isAncestor(of: testIdentity))
    #expect(identity.epochCounter(at: 1) == 1)
    #expect(identity.epochCounter(at: 10) == 1)
    #expect(identity.epochCounter(at: 11) == 7)
    #expect(identity.currentEpoch.counter == 7)
    #expect(UniqueID(high: 1, low: 255).description == "000000000000000100000000000000ff")
    for count in 0..<identity.encoded().count {
      #expect(throws: StoreError.self) {
        try LogIdentity(decoding: Array(identity.encoded()[..<count]), at: "test")
      }
    }
    identity.epochs[1].counter = 1
    #expect(throws: StoreError.self) { try LogIdentity(decoding: identity.encoded(), at: "test") }
  }
}
