/// Which restore points a prune keeps: those that at least one rule selects, the newest one, every
/// mark that can be restored, and the archived log that all of these need.
public struct RetentionPolicy: Sendable, Hashable, Codable {
  /// This many of the newest restore points, with the log from the oldest of them on.
  public var keepLast = 0
  /// The last restore point of each of this many days (UTC) that have any.
  public var keepDaily = 0
  /// The last restore point of each of this many ISO weeks (UTC) that have any.
  public var keepWeekly = 0
  /// The last restore point of each of this many months (UTC) that have any.
  public var keepMonthly = 0
  /// All restore points in this time before the newest one, and everything else that a restore to
  /// any moment of this time needs.
  public var keepWithin: Duration {
    get { .milliseconds(keepWithinMilliseconds) }
    set { keepWithinMilliseconds = Int64(newValue.wholeMilliseconds) }
  }
  package var keepWithinMilliseconds: Int64 = 0

  public init(
    keepLast: Int = 0, keepDaily: Int = 0, keepWeekly: Int = 0, keepMonthly: Int = 0,
    keepWithin: Duration = .zero
  ) {
    self.keepLast = keepLast
    self.keepDaily = keepDaily
    self.keepWeekly = keepWeekly
    self.keepMonthly = keepMonthly
    self.keepWithin = keepWithin
  }

  var isEmpty: Bool {
    [keepLast, keepDaily, keepWeekly, keepMonthly].allSatisfy { $0 <= 0 }
      && keepWithinMilliseconds <= 0
  }
}
