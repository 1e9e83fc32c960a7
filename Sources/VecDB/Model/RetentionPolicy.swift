/// Which restore points a prune keeps. What any rule names is kept; so are the newest restore
/// point, every mark that can be restored, and the archived log that all of these need.
public struct RetentionPolicy: Sendable, Hashable, Codable {
  /// The newest so many, with the log from the oldest of them on.
  public var keepLast = 0
  /// The last one of each of so many days (UTC) that have any.
  public var keepDaily = 0
  /// The last one of each of so many ISO weeks (UTC) that have any.
  public var keepWeekly = 0
  /// The last one of each of so many months (UTC) that have any.
  public var keepMonthly = 0
  /// All in this time before the newest one, and whatever else it takes to restore every moment in
  /// it.
  public var keepWithinMilliseconds: Int64 = 0

  public init(
    keepLast: Int = 0, keepDaily: Int = 0, keepWeekly: Int = 0, keepMonthly: Int = 0,
    keepWithinMilliseconds: Int64 = 0
  ) {
    self.keepLast = keepLast
    self.keepDaily = keepDaily
    self.keepWeekly = keepWeekly
    self.keepMonthly = keepMonthly
    self.keepWithinMilliseconds = keepWithinMilliseconds
  }

  var isEmpty: Bool {
    [keepLast, keepDaily, keepWeekly, keepMonthly].allSatisfy { $0 <= 0 }
      && keepWithinMilliseconds <= 0
  }
}
