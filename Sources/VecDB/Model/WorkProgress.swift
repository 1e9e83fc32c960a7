/// The progress of a long operation. vecdb reports it a few times a second, from any thread.
public struct WorkProgress: Sendable, Hashable, Codable {
  /// The present work, such as `copying blocks`.
  public var stage: String
  public var doneBytes: Int
  /// 0 if it is not known.
  public var totalBytes: Int

  public init(stage: String, doneBytes: Int, totalBytes: Int) {
    self.stage = stage
    self.doneBytes = doneBytes
    self.totalBytes = totalBytes
  }
}

public typealias ProgressHandler = @Sendable (WorkProgress) -> Void
