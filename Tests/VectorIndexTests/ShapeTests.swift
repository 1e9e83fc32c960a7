import Testing
import VecDBIndex
import VecDBShapes

/// Data of every shape, small: search finds what a textbook HNSW on floats finds, within what so few
/// queries can tell. The large
/// version, with hnswlib itself and with speed, is `scripts/bench --shapes`.
@Suite struct ShapeTests {
  private static let count = 1_400
  private static let queries = 16

  static let cases: [(name: String, metric: IndexParameters.Metric)] = Shape.all
    .filter { $0.dimensions <= 129 }.flatMap { shape in
      [.l2, .cosine, .dot].map { (shape.name, $0) }
    }

  @Test(arguments: cases)
  func findsWhatATextbookFinds(name: String, metric: IndexParameters.Metric) throws {
    let data = ShapeData(
      try CodeFitTests.shape(name), count: Self.count, queries: Self.queries)
    let index = try CodeFitTests.index(data.base, metric: metric)
    let fresh = Peer(data.base, data.queries, metric)
    try compare(index, with: fresh, "\(name) fresh")
    try CodeFitTests.append(data.late, to: index)
    let drifted = Peer(data.base + data.late, data.queries + data.lateQueries, metric)
    try compare(index, with: drifted, "\(name) drifted")
    let built = try IndexGeneration(parameters: index.parameters)
    let origin = index.appliedLSN
    while try built.adopt(index, at: origin, count: index.assignedSlotCount, limit: 4_000) {}
    while try built.insertAdopted(at: origin) {}
    built.publish(like: index)
    try compare(built, with: drifted, "\(name) rebuilt")
  }

  /// A vector with more copies than a row has places leads to others all the same.
  @Test func copiesDoNotFillTheRowsOfEachOther() throws {
    let data = ShapeData(try CodeFitTests.shape("duplicates"), queries: 200)
    let index = try CodeFitTests.index(data.base, metric: .dot)
    let recall = try Peer.truth(data.base, data.queries, .dot).recall { query in
      try index.search(query, k: 10, ef: 64).hits.map { Int($0.slot) }
    }
    #expect(recall >= 0.995)
  }

  /// The truth by brute force in double, and what a textbook finds of it.
  private struct Peer {
    let queries: [[Float]]
    let metric: IndexParameters.Metric
    var distances: [[Double]] = []
    /// Up to here a hit is as near as the tenth true one, within what a float can tell.
    var limits: [Double] = []
    var recall = 0.0

    init(_ data: [[Float]], _ queries: [[Float]], _ metric: IndexParameters.Metric) {
      self = Self.truth(data, queries, metric)
      let textbook = TextbookHNSW(data, metric: metric, degree: 16, efConstruction: 64)
      recall = self.recall { textbook.search($0, k: 10, ef: 64) }
    }

    private init(queries: [[Float]], metric: IndexParameters.Metric) {
      self.queries = queries
      self.metric = metric
    }

    /// Without a textbook's recall.
    static func truth(
      _ data: [[Float]], _ queries: [[Float]], _ metric: IndexParameters.Metric
    ) -> Peer {
      var peer = Peer(queries: queries, metric: metric)
      func length(_ vector: [Float]) -> Double {
        vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      }
      let longest = data.map(length).max() ?? 0
      for query in queries {
        let all = data.map { TextbookHNSW.distance(query, $0, metric) }
        let worst = all.sorted()[9]
        let lost: Double =
          switch metric {
          case .l2, .hamming: 0
          case .dot: length(query) * longest * 1e-6
          case .cosine: 1e-6
          }
        peer.distances.append(all)
        peer.limits.append(worst + max(abs(worst) * 1e-5, lost))
      }
      return peer
    }

    func recall(_ search: ([Float]) throws -> [Int]) rethrows -> Double {
      var found = 0
      for (number, query) in queries.enumerated() {
        found += min(10, try search(query).count { distances[number][$0] <= limits[number] })
      }
      return Double(found) / Double(10 * queries.count)
    }
  }

  private func compare(_ index: IndexGeneration, with peer: Peer, _ what: String) throws {
    let recall = try peer.recall { query in
      try index.search(query, k: 10, ef: 64).hits.map { Int($0.slot) }
    }
    #expect(
      recall >= peer.recall - 0.05,
      "\(what) \(peer.metric): \(recall), the textbook \(peer.recall)")
    #expect(index.checkInvariants() == [])
  }
}

/// HNSW as the paper has it (Malkov and Yashunin, 2018), one by one and on doubles: slow and plain.
final class TextbookHNSW {
  private let data: [[Float]]
  private let metric: IndexParameters.Metric
  private let degree: Int
  private var links: [[[Int]]] = []
  private var entry = 0

  init(_ data: [[Float]], metric: IndexParameters.Metric, degree: Int, efConstruction: Int) {
    self.data = data
    self.metric = metric
    self.degree = degree
    var random = TestRandom(seed: 100)
    for node in data.indices {
      var level = 0
      while level < 12, random.below(degree) == 0 { level += 1 }
      links.append([[Int]](repeating: [], count: level + 1))
      guard node > 0 else { continue }
      var nearest = [entry]
      let top = links[entry].count - 1
      for layer in stride(from: top, through: 0, by: -1) {
        nearest = walk(data[node], from: nearest, ef: layer > level ? 1 : efConstruction, layer)
        guard layer <= level else { continue }
        let chosen = select(node, nearest, limit: degree)
        links[node][layer] = chosen
        for other in chosen {
          links[other][layer].append(node)
          let limit = layer == 0 ? 2 * degree : degree
          if links[other][layer].count > limit {
            let sorted = links[other][layer].sorted { between(other, $0) < between(other, $1) }
            links[other][layer] = select(other, sorted, limit: limit)
          }
        }
      }
      if level > top { entry = node }
    }
  }

  static func distance(
    _ a: [Float], _ b: [Float], _ metric: IndexParameters.Metric
  ) -> Double {
    var (sum, left, right) = (0.0, 0.0, 0.0)
    for place in a.indices {
      let (x, y) = (Double(a[place]), Double(b[place]))
      switch metric {
      case .l2, .hamming: sum += (x - y) * (x - y)
      case .dot: sum -= x * y
      case .cosine:
        sum += x * y
        left += x * x
        right += y * y
      }
    }
    return metric == .cosine ? 1 - sum / (left * right).squareRoot() : sum
  }

  private func between(_ a: Int, _ b: Int) -> Double { Self.distance(data[a], data[b], metric) }

  private func select(_ node: Int, _ candidates: [Int], limit: Int) -> [Int] {
    var chosen: [Int] = []
    for candidate in candidates where chosen.count < limit && candidate != node {
      let own = between(node, candidate)
      if chosen.allSatisfy({ between($0, candidate) >= own }) { chosen.append(candidate) }
    }
    return chosen
  }

  private func walk(_ query: [Float], from entries: [Int], ef: Int, _ layer: Int) -> [Int] {
    var seen = Set(entries)
    var best = entries.map { (Self.distance(query, data[$0], metric), $0, false) }
      .sorted { $0.0 < $1.0 }
    while let place = best.firstIndex(where: { !$0.2 }) {
      best[place].2 = true
      for next in links[best[place].1][layer] where seen.insert(next).inserted {
        let distance = Self.distance(query, data[next], metric)
        guard best.count < ef || distance < (best.last?.0 ?? .infinity) else { continue }
        let spot = best.firstIndex { $0.0 > distance } ?? best.count
        best.insert((distance, next, false), at: spot)
        if best.count > ef { best.removeLast() }
      }
    }
    return best.map(\.1)
  }

  func search(_ query: [Float], k: Int, ef: Int) -> [Int] {
    var nearest = [entry]
    for layer in stride(from: links[entry].count - 1, through: 0, by: -1) {
      nearest = walk(query, from: nearest, ef: layer > 0 ? 1 : ef, layer)
    }
    return Array(nearest.prefix(k))
  }
}
