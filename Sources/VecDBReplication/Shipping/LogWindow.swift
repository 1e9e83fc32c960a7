import VecDBLogStore

/// The newest frames of the log, so that followers that keep up cost no reads of it.
struct LogWindow {
  private var frames: [LogFrame] = []
  private var first = 0
  private var bytes = 0
  private let bytesMaximum: Int

  init(bytesMaximum: Int) { self.bytesMaximum = bytesMaximum }

  mutating func append(_ new: [LogFrame]) {
    guard let next = new.first else { return }
    if let last = frames.last, last.lsn + 1 != next.lsn { removeAll() }
    frames += new
    bytes += new.reduce(0) { $0 + Self.size($1) }
    while bytes > bytesMaximum, first < frames.count {
      bytes -= Self.size(frames[first])
      first += 1
    }
    if first > 1_024, first > frames.count / 2 {
      frames.removeFirst(first)
      first = 0
    }
  }

  mutating func removeAll() {
    frames = []
    first = 0
    bytes = 0
  }

  /// Frames after `lsn`, about as many bytes as asked for; nil if the window does not reach back.
  func frames(after lsn: UInt64, bytesMaximum: Int) -> [LogFrame]? {
    guard first < frames.count, lsn + 1 >= frames[first].lsn, lsn < frames[frames.count - 1].lsn
    else { return nil }
    var index = first + Int(lsn + 1 - frames[first].lsn)
    var found: [LogFrame] = []
    var sum = 0
    while index < frames.count, sum < bytesMaximum {
      found.append(frames[index])
      sum += Self.size(frames[index])
      index += 1
    }
    return found
  }

  static func size(_ frame: LogFrame) -> Int { frame.payload.count + LogFrame.overheadBytes }
}
