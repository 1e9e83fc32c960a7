/// How a search was done. Versions to come may have further plans.
public struct SearchPlan: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible,
  ExpressibleByStringLiteral
{
  /// Its name, as in JSON.
  public let rawValue: String

  public init(rawValue: String) { self.rawValue = rawValue }
  public init(stringLiteral value: String) { rawValue = value }

  public var description: String { rawValue }

  /// A walk through the graph.
  public static let graph = SearchPlan(rawValue: "graph")
  /// A walk through all nodes of the graph that keeps what the filter matches.
  public static let filteredGraph = SearchPlan(rawValue: "filteredGraph")
  /// A walk from one record that the filter matches to the next.
  public static let twoHop = SearchPlan(rawValue: "twoHop")
  /// Every record that matches was compared.
  public static let scan = SearchPlan(rawValue: "scan")
}
