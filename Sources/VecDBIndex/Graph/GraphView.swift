import CVecDBShims
import Synchronization

/// The graph as one search or insertion sees it: plain pointers, and the number of nodes that it
/// may look at. A link to any other node is passed over.
struct GraphView {
  let links: UnsafeMutablePointer<Atomic<UInt32>>
  let upperLinks: UnsafeMutablePointer<Atomic<UInt32>>
  let nodes: UnsafePointer<UInt32>
  let baseDegree: Int
  let degree: Int
  let upperRowCount: Int
  let count: UInt32
  /// Below `count`, unless the graph is empty.
  let entry: UInt32

  init(_ generation: IndexGeneration) {
    let arrays = generation.arrays
    links = arrays.links.base.assumingMemoryBound(to: Atomic<UInt32>.self)
    upperLinks = arrays.upperLinks.base.assumingMemoryBound(to: Atomic<UInt32>.self)
    nodes = UnsafePointer(arrays.nodes.base.assumingMemoryBound(to: UInt32.self))
    baseDegree = generation.parameters.baseDegree
    degree = generation.parameters.degree
    // The entry point first: the count loaded after it is as new or newer.
    entry = UInt32(generation.entryPoint.load(ordering: .acquiring))
    count = UInt32(generation.graphCount.load(ordering: .acquiring))
    upperRowCount = generation.upperRowCount.load(ordering: .acquiring)
  }

  @inline(__always)
  func level(_ node: UInt32) -> Int { Int(nodes[Int(node)] & 15) }

  /// A node's row on an upper layer; nil where it does not reach so high.
  @inline(__always)
  func upperRow(_ node: UInt32, level: Int) -> UnsafeMutablePointer<Atomic<UInt32>>? {
    let word = nodes[Int(node)]
    let row = Int(word >> 4) &+ level &- 1
    guard level <= Int(word & 15), row < upperRowCount else { return nil }
    return upperLinks + row &* degree
  }

  @inline(__always)
  func baseRow(_ node: UInt32) -> UnsafeMutablePointer<Atomic<UInt32>> {
    links + Int(node) &* baseDegree
  }

  /// Asks for a candidate's links ahead of their use.
  @inline(__always)
  func prefetchRow(_ candidate: UInt64) {
    let row = UnsafeRawPointer(baseRow(CandidatePool.slot(candidate)))
    vecdb_prefetch(row)
    vecdb_prefetch(row + 64)
  }

  /// Collects the links of a row that have not been visited yet, and marks them. `ids` must have
  /// room for the whole row.
  @inline(__always)
  func gather(
    _ row: UnsafeMutablePointer<Atomic<UInt32>>, length: Int, tags: UnsafeMutablePointer<UInt8>,
    tag: UInt8, into ids: UnsafeMutablePointer<UInt32>
  ) -> Int {
    let count = count
    var n = 0
    var j = 0
    while j < length {
      // Acquiring, since what it leads to may have got its record a moment ago.
      let neighbour = row[j].load(ordering: .acquiring)
      j &+= 1
      guard neighbour < count else {
        if neighbour == IndexArrays.none { break }
        continue
      }
      // Without a branch: whether a node was visited cannot be predicted.
      let isNew = tags[Int(neighbour)] != tag
      tags[Int(neighbour)] = tag
      ids[n] = neighbour
      n &+= isNew ? 1 : 0
    }
    return n
  }

  /// Candidates kept on the way down by a walk that keeps `ef` below.
  static func descentWidth(ef: Int) -> Int {
    min(SearchScratch.beamLimit, max(1, ef / 16))
  }

  /// Walks from the entry point down to, and not into, `level`: on each layer until the best `width`
  /// nodes have all been expanded. Returns the nearest as a candidate.
  ///
  /// A width of 1 is the greedy descent of the HNSW paper. It stops at the first node none of whose
  /// neighbours is nearer, which among groups of records that lie equally far from each other is
  /// often one of a wrong group, and the layer below may have no link that leads out of a group.
  ///
  /// Every node that it measures is marked as visited and offered to the scratch's pool, so that
  /// the walk that follows measures none of them again. (A node seen on a higher layer is in the
  /// beam or farther than all in it, so that passing over it changes nothing here.)
  func descend(
    toward query: CodedQuery, above level: Int, width: Int, _ scratch: SearchScratch,
    distanceCount: inout Int
  ) -> UInt64 {
    var pool = scratch.pool
    defer { scratch.pool = pool }
    let (ids, dots) = (scratch.ids, scratch.dots)
    let (tags, tag) = (scratch.visited.tags, scratch.visited.tag)
    ids[0] = entry
    tags[Int(entry)] = tag
    var n = 1
    if tags[0] != tag, self.level(0) >= level {
      // The root is a seed too: from it every node can be reached.
      tags[0] = tag
      ids[1] = 0
      n = 2
    }
    query.distances(ids, count: n, dots)
    distanceCount &+= n
    // The best nodes of a layer in ascending order; the lowest bit tells those expanded there.
    let beam = scratch.beam
    beam[0] = CandidatePool.word(distance: UInt32(bitPattern: dots[0]), slot: entry)
    var beamCount = 1
    pool.insert(beam[0])
    if n == 2 {
      let root = CandidatePool.word(distance: UInt32(bitPattern: dots[1]), slot: 0)
      if root < pool.bound { pool.insert(root) }
    }
    var layer = self.level(entry)
    while layer > level {
      var cursor = 0
      while cursor < beamCount {
        let word = beam[cursor]
        guard word & 1 == 0, let row = upperRow(CandidatePool.slot(word), level: layer) else {
          cursor &+= 1
          continue
        }
        beam[cursor] = word | 1
        n = gather(row, length: degree, tags: tags, tag: tag, into: ids)
        query.distances(ids, count: n, dots)
        distanceCount &+= n
        for i in 0..<n {
          let word = CandidatePool.word(distance: UInt32(bitPattern: dots[i]), slot: ids[i])
          if word < pool.bound { pool.insert(word) }
          guard beamCount < width || word < beam[beamCount &- 1] else { continue }
          var place = beamCount < width ? beamCount : beamCount &- 1
          beamCount = place &+ 1
          while place > 0, beam[place &- 1] > word {
            beam[place] = beam[place &- 1]
            place &-= 1
          }
          beam[place] = word
          cursor = min(cursor, place)
        }
      }
      for index in 0..<beamCount { beam[index] &= ~1 }
      layer &-= 1
    }
    return beam[0]
  }

  /// Walks one layer from the candidates in the scratch's pool until the pool's best have all been
  /// expanded: the search of the HNSW paper with one array for both of its heaps. Returns how many
  /// were expanded. With patience it may end before.
  @inline(__always)
  func walk(
    level: Int, toward query: CodedQuery, _ scratch: SearchScratch,
    patience: Patience = .endless, distanceCount: inout Int
  ) -> Int {
    var patience = patience
    var pool = scratch.pool
    let (ids, dots) = (scratch.ids, scratch.dots)
    let (tags, tag) = (scratch.visited.tags, scratch.visited.tag)
    let rowLength = level == 0 ? baseDegree : degree
    var hops = 0
    while pool.cursor < pool.count {
      let word = pool.words[pool.cursor]
      guard word & 1 == 0 else {
        pool.cursor &+= 1
        continue
      }
      if patience.isOver(hops: hops, pool) { break }
      pool.words[pool.cursor] = word | 1
      pool.cursor &+= 1
      let node = CandidatePool.slot(word)
      let row: UnsafeMutablePointer<Atomic<UInt32>>
      if level == 0 {
        row = baseRow(node)
      } else {
        guard let upper = upperRow(node, level: level) else { continue }
        row = upper
      }
      hops &+= 1
      let n = gather(row, length: rowLength, tags: tags, tag: tag, into: ids)
      guard n > 0 else { continue }
      // Most likely the next node to be expanded.
      if level == 0, pool.cursor < pool.count { prefetchRow(pool.words[pool.cursor]) }
      query.distances(ids, count: n, dots)
      distanceCount &+= n
      var bound = pool.bound
      var next = pool.cursor < pool.count ? pool.words[pool.cursor] : .max
      var i = 0
      while i < n {
        let candidate = CandidatePool.word(
          distance: UInt32(bitPattern: dots[i]), slot: ids[i])
        if candidate < bound {
          pool.insert(candidate)
          bound = pool.bound
          if candidate < next {
            next = candidate
            if level == 0 { prefetchRow(candidate) }
          }
        }
        i &+= 1
      }
    }
    scratch.pool = pool
    return hops
  }
}
