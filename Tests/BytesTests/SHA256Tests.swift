import Testing
import VecDBBytes

@Suite struct SHA256Tests {
  /// FIPS 180-4 examples and NIST's CAVP short messages.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
        + "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
  ])
  func publishedVectors(message: String, digest: String) {
    #expect(SHA256.hash(Array(message.utf8)).hex == digest)
  }

  @Test func aMillionTimesA() {
    let block = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
    var hasher = SHA256()
    for _ in 0..<1000 { hasher.update(block) }
    #expect(
      hasher.finalize().hex
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  /// The digest of the digests of 200 messages of 0 to 199 bytes: every padding there is.
  @Test func everyLengthAroundABlock() {
    var all = SHA256()
    for n in 0..<200 {
      all.update(SHA256.hash((0..<n).map { UInt8(truncatingIfNeeded: $0 * 7 + n) }))
    }
    #expect(
      all.finalize().hex
        == "8c7c9ff69da76fc28823a1cb97268672663e628e1ea955868b16db46bab0545d")
  }

  @Test func piecesGiveTheSameDigest() {
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 >> 8) }
    let whole = SHA256.hash(bytes)
    for seed in 1...200 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      var hasher = SHA256()
      var offset = 0
      while offset < bytes.count {
        let most = [1, 8, 70, 3000][Int.random(in: 0..<4, using: &random)]
        let count = min(bytes.count - offset, Int.random(in: 0...most, using: &random))
        hasher.update(Array(bytes[offset..<offset + count]))
        offset += count
      }
      #expect(hasher.finalize() == whole, "seed \(seed)")
    }
  }

  @Test func integersAndDigestsAreTheirBytes() {
    let digest = SHA256.hash([1, 2, 3])
    var first = SHA256()
    first.update(UInt32(0x0403_0201))
    first.update(UInt8(5))
    first.update(digest)
    #expect(first.finalize() == SHA256.hash([1, 2, 3, 4, 5] + digest.bytes))
  }

  @Test func theProcessorsInstructionsGiveTheSameStates() {
    for seed in 1...300 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      func word() -> UInt32 { UInt32.random(in: 0 ... .max, using: &random) }
      let start = (word(), word(), word(), word(), word(), word(), word(), word())
      let count = Int.random(in: 0...5, using: &random)
      // One byte more and from the second on, so that the blocks are not aligned.
      let bytes = (0..<(count * 64 + 1)).map { _ in UInt8.random(in: 0...255, using: &random) }
      var (portable, accelerated) = (start, start)
      let ran = bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return false }
        SHA256.compressPortable(&portable, base + 1, blockCount: count)
        return SHA256.compressAccelerated(&accelerated, base + 1, blockCount: count)
      }
      guard ran else { return }
      let same = withUnsafeBytes(of: &portable) { portable in
        withUnsafeBytes(of: &accelerated) { portable.elementsEqual($0) }
      }
      #expect(same, "seed \(seed)")
    }
  }
}
