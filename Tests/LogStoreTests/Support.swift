import Glibc
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the tests' only source of chance.
struct TestRandom: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    return splitMix64(&state)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
}

/// A directory on the real disk that goes when the object goes.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/vecdb-logstore-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw StoreError(.inputOutput, "mkdtemp failed") }
    path = String(cString: made)
  }

  deinit { try? PosixFileSystem().removeTree(path) }
}

let testIdentity = LogIdentity(
  databaseID: UniqueID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210),
  epochs: [
    Epoch(
      counter: 1, id: UniqueID(high: 1, low: 2), parentID: .zero, beganAtLSN: 0,
      beganAtChain: .zero)
  ])

extension LogFrameStream {
  /// A whole stream, put together from its parts.
  static func encode(
    identity: LogIdentity, start: LogPosition, frames: some Collection<LogFrame>
  ) -> [UInt8] {
    header(identity: identity, start: start) + frames.flatMap { $0.encoded() }
      + trailer(end: frames.reduce(start) { $1.position })
  }
}
