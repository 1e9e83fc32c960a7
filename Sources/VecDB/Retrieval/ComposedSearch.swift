/// A search made of plain searches with one vector. It asks for one after the other, and decides by
/// what each found whether another one is needed.
///
/// Pure: who runs it may search in this process or ask another one.
package protocol ComposedSearch {
  associatedtype Answer
  /// The next plain search; nil when the answer is complete.
  mutating func next() -> PlainSearch?
  /// What the search that `next` asked for has found.
  mutating func take(_ result: SearchResult) throws
  func answer() throws -> Answer
}

package struct PlainSearch: Sendable {
  package var k: Int
  package var options: SearchOptions
}

extension VectorCollection {
  func run<Search: ComposedSearch>(
    _ search: Search, _ vector: [Float]
  ) throws -> Search.Answer {
    var search = search
    while let step = search.next() {
      try search.take(self.search(vector, k: step.k, options: step.options))
    }
    return try search.answer()
  }
}

/// Throws `invalidArgument` for a value out of its range.
func requireQueryOption(_ isValid: Bool, _ message: String, _ remedy: String) throws {
  guard isValid else { throw VecDBError(.invalidArgument, message, at: "query", remedy: remedy) }
}
