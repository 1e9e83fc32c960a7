/// How vecdb carried out a search. Later versions may have further plans.
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
  /// A walk through all nodes of the graph that keeps those that match the filter.
  public static let filteredGraph = SearchPlan(rawValue: "filteredGraph")
  /// A walk from one matching node to the next.
  public static let twoHop = SearchPlan(rawValue: "twoHop")
  /// A comparison with every record that matches.
  public static let scan = SearchPlan(rawValue: "scan")
}
