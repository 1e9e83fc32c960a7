/// How far a rebuild is. Versions to come may have further stages.
public struct RebuildStage: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible,
  ExpressibleByStringLiteral
{
  /// Its name, as in JSON.
  public let rawValue: String

  public init(rawValue: String) { self.rawValue = rawValue }
  public init(stringLiteral value: String) { rawValue = value }

  public var description: String { rawValue }

  /// No rebuild is under way.
  public static let none = RebuildStage(rawValue: "none")
  /// Slots are taken over and codes are trained.
  public static let preparing = RebuildStage(rawValue: "preparing")
  /// The graph is built.
  public static let building = RebuildStage(rawValue: "building")
  /// The batches written meanwhile are applied.
  public static let catchingUp = RebuildStage(rawValue: "catchingUp")
  /// The gate measures.
  public static let validating = RebuildStage(rawValue: "validating")
  /// The gate passed; the new generation is about to serve.
  public static let swapping = RebuildStage(rawValue: "swapping")
  /// The gate refused, and the candidate is kept.
  public static let refused = RebuildStage(rawValue: "refused")
  /// The new generation serves, and the old one follows.
  public static let grace = RebuildStage(rawValue: "grace")
}
