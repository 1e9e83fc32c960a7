import Testing
import VecDBBytes

@Suite struct DigestTests {
  private func digest(_ number: Int) -> Digest { SHA256.hash(Array("member \(number)".utf8)) }

  @Test func hexAndBytesRoundTrip() throws {
    let digest = digest(1)
    #expect(Digest(hex: digest.hex) == digest)
    #expect(Digest(hex: digest.hex.uppercased()) == nil, "one spelling only")
    #expect(digest.bytes.withUnsafeBytes { $0.baseAddress.map { Digest(bytes: $0) } } == digest)
    let counting = try #require(
      Digest(hex: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
    #expect(counting.bytes == Array(0..<32))
    for bad in ["", String(digest.hex.dropLast()), digest.hex + "0", "g" + digest.hex.dropFirst()] {
      #expect(Digest(hex: bad) == nil)
    }
  }

  @Test func orderIsThatOfTheBytes() {
    var digests = (0..<200).map(digest)
    for position in 0..<32 {  // pairs that differ in one byte only
      var bytes = [UInt8](repeating: 7, count: 32)
      for value in [0, 6, 8, 255] as [UInt8] {
        bytes[position] = value
        bytes.withUnsafeBytes { raw in
          if let base = raw.baseAddress { digests.append(Digest(bytes: base)) }
        }
      }
    }
    for pair in zip(digests, digests.dropFirst()) {
      #expect((pair.0 < pair.1) == pair.0.bytes.lexicographicallyPrecedes(pair.1.bytes))
      #expect((pair.1 < pair.0) == pair.1.bytes.lexicographicallyPrecedes(pair.0.bytes))
      #expect(!(pair.0 < pair.0))
    }
  }

  @Test func multisetDoesNotKnowOrder() {
    var random = SeededGenerator(seed: 5)
    let members = (0..<100).map(digest)
    var first = MultisetDigest()
    for member in members { first.insert(member) }
    var second = MultisetDigest()
    for member in members.shuffled(using: &random) { second.insert(member) }
    #expect(first == second)
    for member in members.shuffled(using: &random) { second.remove(member) }
    #expect(second == MultisetDigest())
    first.insert(members[0])
    second = MultisetDigest(sum: first.sum)
    second.remove(members[0])
    #expect(first != second)
  }

  @Test func multisetCarriesAcrossWords() {
    let ones = Digest(words: (.max, .max, .max, .max))
    let one = Digest(words: (1, 0, 0, 0))
    var multiset = MultisetDigest(sum: ones)
    multiset.insert(one)
    #expect(multiset.sum == .zero)
    multiset.remove(one)
    #expect(multiset.sum == ones)
    multiset = MultisetDigest(sum: Digest(words: (.max, 5, 0, 0)))
    multiset.insert(ones)
    #expect(multiset.sum == Digest(words: (.max - 1, 5, 0, 0)))
  }
}
