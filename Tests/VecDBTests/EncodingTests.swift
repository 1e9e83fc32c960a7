import Testing
import VecDB

/// Whatever is let into the log reads back, and is what was meant. `scripts/fuzz --target encoding`
/// does the same for as long as you like.
@Suite struct EncodingTests {
  @Test(arguments: UInt64(1)...4)
  func whatIsLetInReadsBackTheSame(seed: UInt64) {
    var generator = SeededGenerator(seed: seed &* 7_919)
    var accepted: [String: Int] = [:]
    var refused: [String: Int] = [:]
    for turn in 0..<3_000 {
      let bytes = (0..<Int.random(in: 0...400, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      let batch = BatchEncoding(bytes)
      #expect(batch.fault == nil, "seed \(seed), turn \(turn)")
      if batch.isAccepted {
        accepted[batch.kind, default: 0] += 1
      } else if !batch.kind.isEmpty {
        refused[batch.kind, default: 0] += 1
      }
    }
    // Every kind was let in, and those that have limits were refused beyond them.
    let kinds = ["create", "drop", "write", "mark", "maintenance", "rebuild", "acknowledgement"]
    for kind in kinds { #expect(accepted[kind, default: 0] > 20, "\(kind): \(accepted)") }
    for kind in ["create", "write", "mark", "rebuild", "acknowledgement"] {
      #expect(refused[kind, default: 0] > 5, "\(kind): \(refused)")
    }
  }
}
