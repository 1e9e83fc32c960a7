/// The stage of a rebuild. Later versions may have further stages.
public struct RebuildStage: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible,
  ExpressibleByStringLiteral
{
  /// Its name, as in JSON.
  public let rawValue: String

  public init(rawValue: String) { self.rawValue = rawValue }
  public init(stringLiteral value: String) { rawValue = value }

  public var description: String { rawValue }

  /// There is no rebuild.
  public static let none = RebuildStage(rawValue: "none")
  /// The candidate takes over slots, and its codes are trained.
  public static let preparing = RebuildStage(rawValue: "preparing")
  /// The candidate builds its graph.
  public static let building = RebuildStage(rawValue: "building")
  /// The candidate applies the batches written meanwhile.
  public static let catchingUp = RebuildStage(rawValue: "catchingUp")
  /// The gate measures.
  public static let validating = RebuildStage(rawValue: "validating")
  /// The gate passed; the new generation is about to serve.
  public static let swapping = RebuildStage(rawValue: "swapping")
  /// The gate refused the candidate, and vecdb keeps it.
  public static let refused = RebuildStage(rawValue: "refused")
  /// The new generation serves, and the old one follows.
  public static let grace = RebuildStage(rawValue: "grace")
}
