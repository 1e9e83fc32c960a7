import Foundation
import Testing

/// Import and delete write through the process that has the database open, under its policy.
@Suite(.serialized) struct RemoteWriteTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database(records: 20)
  }

  /// `serve` starts a primary and waits until it is one; everything ends with the script.
  private static let tools =
    """
    trap 'kill $(jobs -p); wait' EXIT
    serve() {
      $vecdb serve db --name a --listen 127.0.0.1:$port --insecure-loopback "$@" \
        > served 2> served.errors &
      for n in $(seq 300); do
        $vecdb status db > status 2> /dev/null && grep -q primary status && return; sleep 0.1
      done
      echo "not served"; cat served served.errors; exit 1
    }
    port=$((20000 + RANDOM))

    """

  @Test func importAndDeleteWriteThroughTheOwner() throws {
    let result = try Shell.run(
      Self.tools + """
        serve
        echo '{"key":"x","vector":[0.1,-2.5e-7,3,4],"metadata":{"n":1,"s":"é"}}' > x.jsonl
        $vecdb import db c x.jsonl --json --receipts receipts > imported || exit 2
        $vecdb import db c x.jsonl --json > again || exit 3
        $vecdb get db c x > got || exit 4
        $vecdb delete db c k1 k2 gone --json > deleted || exit 5
        $vecdb delete db c --where 'n >= 15' --json > filtered || exit 6
        echo '{"vector":[1,2,3,4]}' > numbered.jsonl
        $vecdb import db c numbered.jsonl > /dev/null || exit 7
        echo '{"vector":[1,2,3,5]}' > numbered.jsonl
        $vecdb import db c numbered.jsonl > /dev/null 2> refused && exit 8
        grep -q -- --replace refused || { cat refused; exit 9; }
        $vecdb import db c numbered.jsonl --replace > /dev/null || exit 10
        echo '{"key":"bad","vector":[1,2,3]}' | $vecdb import db c - --format jsonl 2> bad && exit 11
        $vecdb import db none x.jsonl 2> none && exit 12
        grep -q none none || exit 13
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
    func object(_ name: String) throws -> [String: Any] {
      try #require(
        try JSONSerialization.jsonObject(with: Data(try folder.read(name))) as? [String: Any])
    }
    #expect(try object("imported")["inserted"] as? Int == 1)
    #expect(try object("again")["unchanged"] as? Int == 1)
    #expect(try object("deleted")["deleted"] as? Int == 2)
    #expect(try object("filtered")["deleted"] as? Int == 5)
    let lsn = try #require(try object("imported")["lsn"] as? Int)
    let receipts = String(decoding: try folder.read("receipts"), as: UTF8.self)
    #expect(receipts.contains("\"lsn\":\(lsn)"), "\(receipts)")
    let lines = try Command.succeed("export", folder.path("db"), "c").output
    #expect(lines.split(separator: "\n").count == 15)
    let own = try Shell.succeed(
      """
      $vecdb create own c --dimensions 4 --metric l2 && $vecdb import own c x.jsonl > /dev/null
      $vecdb export own c
      """, in: folder
    ).output.split(separator: "\n").last
    #expect(lines.contains(own ?? "?"))
    try Command.succeed("check", folder.path("db"))
  }

  /// The same answers with and without an owner.
  @Test func updateChangesMetadata() throws {
    let updates = """
      $vecdb update db c k1 k2 --set '{"state":"read","n":5}' --json > updated || exit 1
      grep -q '"updated":2' updated || { cat updated; exit 2; }
      $vecdb update db c --where "state = 'read'" --remove state --json > removed || exit 3
      grep -q '"updated":2' removed || { cat removed; exit 4; }
      $vecdb update db c k1 gone --set '{"x":1}' 2> missing && exit 5
      grep -q "gone" missing || { cat missing; exit 6; }
      $vecdb get db c k1 --with-version --no-vector > got || exit 7
      version=$(grep -o '"version":[0-9]*' got | cut -d : -f 2)
      grep -q '"n":5' got || { cat got; exit 8; }
      ! grep -q state got || exit 9
      $vecdb update db c k1 --set '{"n":6}' --if-version $((version + 1)) --json > conflict && exit 10
      grep -q '"code":"conflict"' conflict || { cat conflict; exit 11; }
      $vecdb update db c k1 --set '{"n":6}' --if-version $version > said || exit 12
      grep -q 'updated 1, 0 unchanged' said || { cat said; exit 13; }
      $vecdb update db c k1 --set '{"m":[1,"x"]}' --remove-others > /dev/null || exit 14
      $vecdb get db c k1 --no-vector > got
      grep -q '"metadata":{"m":\\[1,"x"\\]}' got || { cat got; exit 15; }
      $vecdb update db c k1 > /dev/null 2>&1; [ $? = 2 ] || exit 16
      $vecdb update db c k1 --set '[1]' > /dev/null 2>&1; [ $? = 2 ] || exit 17
      $vecdb update db c k1 k2 --set '{}' --if-version 3 > /dev/null 2>&1; [ $? = 2 ] || exit 18

      """
    for owner in ["", "serve\n"] {
      let result = try Shell.run(Self.tools + owner + updates, in: folder)
      #expect(result.status == 0, "\(owner): \(result.output) \(result.errors)")
    }
    try Command.succeed("check", folder.path("db"))
  }

  @Test func facetsAreTheSameThroughTheOwner() throws {
    let result = try Shell.run(
      Self.tools + """
        $vecdb update db c --where 'n < 5' --set '{"tag":["a","b"]}' > /dev/null || exit 1
        $vecdb update db c --where 'n >= 5 and n < 8' --set '{"tag":"a"}' > /dev/null || exit 2
        $vecdb facets db c tag --json > own || exit 3
        grep -q '"values":\\[{"count":8,"value":"a"},{"count":5,"value":"b"}\\]' own || { cat own; exit 4; }
        $vecdb facets db c tag --where 'n < 2' > table || exit 5
        grep -q '2 records match; 0 lack' table || { cat table; exit 6; }
        serve
        $vecdb facets db c tag --json > remote || exit 7
        cmp own remote || exit 8
        printf 'n in (' > list; seq -s , 10000 >> list; echo ')' >> list
        $vecdb facets db c n --where-file list --json > listed || exit 9
        grep -q '"matching":19' listed || { cat listed; exit 10; }
        $vecdb query db c --key k1 --where 'yaer == 3' > found 2> warning || exit 11
        grep -q yaer warning || { cat warning; exit 12; }
        $vecdb facets db c n --limit 0 2> /dev/null; [ $? = 2 ] || exit 13
        $vecdb query db c --key k1 --where true --where-file list 2> /dev/null; [ $? = 2 ] || exit 14
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }

  @Test func createDropAndExportGoThroughTheOwner() throws {
    let result = try Shell.run(
      Self.tools + """
        awk 'BEGIN { for (r = 0; r < 2500; r++)
          printf "{\\"key\\":\\"r%d\\",\\"vector\\":[%d,%d,3],\\"metadata\\":{\\"n\\":%d}}\\n", r, r % 97, r % 89, r }' > rows.jsonl
        $vecdb create own new --dimensions 3 --metric l2 --m 8 --codes float32 --json > own.json
        $vecdb import own new rows.jsonl > /dev/null && $vecdb export own new > own.jsonl || exit 1
        serve
        $vecdb create db new --dimensions 3 --metric l2 --m 8 --codes float32 --json > created \
          || exit 2
        cmp created own.json || exit 3
        $vecdb create db new --dimensions 3 --metric l2 2> twice && exit 4
        grep -q new twice || exit 5
        $vecdb export db new > empty && cmp empty /dev/null || exit 6
        $vecdb import db new rows.jsonl > /dev/null && $vecdb export db new > exported || exit 7
        cmp exported own.jsonl || exit 8
        $vecdb export db new --where 'n < 1200' --no-vector -o some.jsonl > said || exit 9
        grep -q '1,200 records' said && [ "$(wc -l < some.jsonl)" = 1200 ] || exit 10
        ! grep -q vector some.jsonl || exit 11
        $vecdb export db none -o never.jsonl 2> none && exit 12
        [ ! -e never.jsonl ] || exit 13
        $vecdb drop db new --json > dropped && grep -q '"lsn"' dropped || exit 14
        $vecdb export db new 2> gone && exit 15
        $vecdb drop db new 2> gone && exit 16
        grep -q new gone
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }

  /// A page of an export has a bound in bytes, and all records arrive.
  @Test func longRecordsAreExportedInSmallPages() throws {
    let result = try Shell.run(
      Self.tools + """
        $vecdb create db wide --dimensions 8 --metric l2 || exit 1
        head -c 900000 /dev/zero | tr '\\0' x > long
        for r in $(seq 30); do
          printf '{"key":"r%d","vector":[1,2,3,4,5,6,7,%d],"metadata":{"s":"' $r $r
          cat long; echo '"}}'
        done > wide.jsonl
        $vecdb import db wide wide.jsonl --batch 4 > /dev/null || exit 2
        $vecdb export db wide > own.jsonl || exit 3
        serve
        $vecdb export db wide > exported || exit 4
        cmp exported own.jsonl && [ "$(wc -l < exported)" = 30 ]
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }

  /// More than a request holds is cut, and all of it arrives.
  @Test func aLargeBatchIsCut() throws {
    let result = try Shell.run(
      Self.tools + """
        $vecdb create db wide --dimensions 512 --metric l2 || exit 1
        awk 'BEGIN { for (r = 0; r < 1500; r++) {
          printf "{\\"key\\":\\"r%d\\",\\"vector\\":[", r
          for (c = 0; c < 512; c++) printf "%s%d", c ? "," : "", (r * 7 + c * 13) % 101
          print "]}" } }' > wide.jsonl
        serve
        $vecdb import db wide wide.jsonl > /dev/null || exit 2
        seq 0 1499 | sed s/^/r/ | xargs -n 1500 $vecdb delete db wide r0 > deleted || exit 3
        grep -q 'deleted 1,500' deleted || { cat deleted; exit 4; }
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }

  @Test func aPolicyThatWaitsBindsThem() throws {
    let result = try Shell.run(
      Self.tools + """
        echo '{"key":"x","vector":[1,2,3,4]}' > x.jsonl
        serve --replicas b --ack-timeout 1000
        $vecdb import db c x.jsonl > /dev/null 2> refused && exit 2
        $vecdb delete db c k1 > /dev/null 2>> refused && exit 3
        $vecdb replica b --name b --primary 127.0.0.1:$port --insecure-loopback \
          > followed 2> followed.errors &
        for n in $(seq 300); do
          $vecdb import db c x.jsonl --json > imported 2> failed && break; sleep 0.1
        done
        grep -q '"rows":1' imported || { cat refused failed followed.errors; exit 4; }
        lsn=$(grep -o '"lsn":[0-9]*' imported | cut -d : -f 2)
        for n in $(seq 100); do $vecdb get b c x > got 2> /dev/null && break; sleep 0.1; done
        grep -q x got || exit 5
        $vecdb import b c x.jsonl > /dev/null 2> readonly && exit 6
        cat readonly
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
    #expect(result.output.contains("primary"), "\(result.output)")
  }
}
