/// How far a long operation is. Reported a few times a second, from any thread.
public struct WorkProgress: Sendable, Hashable, Codable {
  /// What is being done, such as `copying blocks`.
  public var stage: String
  public var doneBytes: Int
  /// 0 where it is not known.
  public var totalBytes: Int

  public init(stage: String, doneBytes: Int, totalBytes: Int) {
    self.stage = stage
    self.doneBytes = doneBytes
    self.totalBytes = totalBytes
  }
}

public typealias ProgressHandler = @Sendable (WorkProgress) -> Void
