/*
 * The lease protocol of docs/leadership.md: two replicas, one store, a ticking clock, arbitrary delays between sending, executing and answering.
 * Switches: TIMEEPOCH, REPLYTIME, NOFENCE, FLUSH, GUARD (quarantine), REASSERT, RE_LOOSE, RE_STRICT, NOEPOCHCHK; MAXT, SMAX, MAXTOK.
 * spin -a -D... lease.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan; test/model/lease.test.ts runs the variants that must fail.
 */
#ifndef TTL
#define TTL 2
#endif
#ifndef MAXTOK
#define MAXTOK 4
#endif
#ifndef MAXT
#define MAXT 6
#endif
#ifndef SMAX
#define SMAX 2
#endif
byte clk=0, rid=0, lockTok=0, lockExp=0, epoch=0, fenceTok=0, ckpt=0, nextTok=1, maxCk=0;
bit released=1, flushed=0;
bool L[2]=false; byte dl[2]=0;
byte maxE=0;
#define lockFree (lockTok==0 || clk>=lockExp)
#define valid(i) (L[i] && clk<dl[i])
#ifdef GUARD
#define MAYTAKE (lockFree && (released || (seen==rid && clk>=since+TTL)))
#else
#define MAYTAKE (lockFree)
#endif
#ifdef RE_STRICT
#define REFREE (fenceTok==0 && clk<dl[i])
#else
#ifdef RE_LOOSE
#define REFREE (fenceTok==0)
#else
#define REFREE (false)
#endif
#endif
#define CHK assert(!(valid(0)&&valid(1)))
#ifdef REPLYTIME
#define DL clk+TTL
#else
#define DL sent+TTL
#endif
proctype node(byte i){ byte sent=0, t=0, e=0, s=0, seen=255, since=0; bit ok=0;
follower:
  if
  :: clk<MAXT && nextTok<MAXTOK ->
     d_step { if :: seen!=rid -> seen=rid; since=clk :: else fi; sent=clk; t=nextTok; nextTok++; ok=0 }
     d_step { if
       :: MAYTAKE -> lockTok=t; lockExp=clk+TTL; released=0; ok=1
       :: else fi }
     if :: ok -> skip :: else -> d_step { sent=0; t=0 } goto follower fi;
     d_step { if :: lockTok==t && clk<lockExp ->
#ifdef TIMEEPOCH
          e=(epoch+1 > clk*4+1 -> epoch+1 : clk*4+1);
#else
          e=epoch+1;
#endif
          epoch=e; fenceTok=t; 
#ifndef NOEPOCHCHK
 assert(e>maxE);
#endif
 maxE=e; s=ckpt; ok=1
        :: else -> ok=0 fi }
     if :: ok -> skip :: else -> d_step { sent=0; t=0 } goto follower fi;
     d_step { L[i]=true; dl[i]=DL; CHK; sent=0; ok=0 }
     goto leader
  :: clk>=MAXT || nextTok>=MAXTOK -> goto fin
  fi;
leader:
  do
  :: clk<MAXT -> sent=clk;
     d_step { if :: lockTok==t && clk<lockExp -> lockExp=clk+TTL; ok=1
#ifdef REASSERT
       :: !(lockTok==t && clk<lockExp) && lockFree && (fenceTok==t || REFREE) -> lockTok=t; lockExp=clk+TTL; released=0; ok=1; fenceTok=t; epoch=(epoch>e -> epoch : e)
       :: !(lockTok==t && clk<lockExp) && !(lockFree && (fenceTok==t || REFREE)) -> ok=0
#else
       :: else -> ok=0
#endif
       fi }
     if :: ok -> d_step { dl[i]=DL; CHK; sent=0; ok=0 }
        :: else -> d_step { L[i]=false; dl[i]=0; t=0; e=0; s=0; sent=0; } goto follower fi
  :: valid(i) && s<SMAX -> d_step { if :: valid(i) -> s++; CHK :: else fi };
#ifdef NOFENCE
     d_step { assert(s>=maxCk); ckpt=s; maxCk=s }
#else
     d_step { if :: epoch==e && s>=ckpt -> ckpt=s; if :: !flushed -> assert(ckpt>=maxCk); maxCk=ckpt :: else fi :: else fi }
#endif
  :: clk>=dl[i] && clk<MAXT -> d_step { L[i]=false; dl[i]=0; t=0; e=0; s=0 } goto follower
  :: clk<MAXT -> d_step { L[i]=false; dl[i]=0; }; d_step { if :: lockTok==t -> lockTok=0; released=1 :: else fi; t=0; e=0; s=0 } goto follower
  :: clk>=MAXT -> goto fin
  od;
fin: skip }
proctype ticker(){ do :: clk<MAXT -> d_step { clk++; CHK } :: clk>=MAXT -> break od }
#ifdef FLUSH
proctype chaos(){ d_step { flushed=1; rid++; lockTok=0; lockExp=0; epoch=0; fenceTok=0; ckpt=0;
#ifdef GUARD
  released=0
#else
  released=1
#endif
 } }
#endif
init { atomic { run node(0); run node(1); run ticker();
#ifdef FLUSH
 run chaos()
#endif
 } }
